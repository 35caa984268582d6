"""Evaluation sets: questions are read whatever their shape; a bad line is named, not shown."""

import json
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bedrock_sluice.lake import evaluation
from bedrock_sluice.lake.evaluation import FIELDS, ITEMS, Evaluation, read_evaluation
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError

CANARY = "a question that nobody may see"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder that relative paths are meant from."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    return folder


def read(base: Path, content: bytes) -> Evaluation:
    """The items of a file."""
    (base / "set.jsonl").write_bytes(content)
    return read_evaluation(("set.jsonl",), base)


def user(content: object) -> dict[str, Any]:
    return {"role": "user", "content": content}


SYSTEM, TOLD = {"role": "system", "content": "be brief"}, {"role": "assistant", "content": "4"}


@pytest.mark.parametrize(
    ("item", "question"),
    [
        *(({field: "2 + 2?", "answer": "4"}, "2 + 2?") for field in FIELDS),
        ({"messages": [SYSTEM, user("2 + 2?")]}, "2 + 2?"),
        ({"messages": [user("2 + 2?"), TOLD, user("and 3?")]}, "and 3?"),
        ({"messages": [user("2 + 2?"), TOLD]}, "2 + 2?"),
        ({"messages": [user([{"type": "text", "text": "2 + 2?"}])]}, "2 + 2?"),
        ({"messages": [user([{"text": "2 +"}, {"image": {}}, {"text": "2?"}])]}, "2 +\n2?"),
        ({"messages": [user([{"text": None}, {"text": 7}, "x", {"text": "2 + 2?"}])]}, "2 + 2?"),
        ({"prompt": "other", "messages": [user("2 + 2?")]}, "2 + 2?"),
        ({"messages": [user(" \n")], "prompt": "2 + 2?"}, "2 + 2?"),
        ({"messages": [], "prompt": "2 + 2?"}, "2 + 2?"),
        ({"messages": {"role": "user"}, "prompt": "2 + 2?"}, "2 + 2?"),
        ({"messages": ["x", TOLD], "prompt": "2 + 2?"}, "2 + 2?"),
        ({"question": "2 + 2?", "prompt": None}, "2 + 2?"),
        ({"question": "2 + 2?", "prompt": [user("x")]}, "2 + 2?"),
        ({"question": "other", "prompt": "2 + 2?"}, "2 + 2?"),
        ({"prompt": " naïve\u2028😀\r\n "}, " naïve\u2028😀\r\n "),
    ],
    ids=json.dumps,
)
def test_the_question_is_found_wherever_it_stands(base: Path, item: object, question: str) -> None:
    for is_ascii in (True, False):
        exchange = read(base, json.dumps(item, ensure_ascii=is_ascii).encode())
        assert exchange.items.rows() == [("set.jsonl:1", question)]


def test_items_are_named_by_their_lines_as_an_editor_counts_them(base: Path) -> None:
    exchange = read(
        base, b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n \t\n{"text": "b"}\n\n{"prompt": "c"}'
    )
    assert exchange.items.rows() == [
        ("set.jsonl:1", "a"),
        ("set.jsonl:4", "b"),
        ("set.jsonl:6", "c"),
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b" \r\n\r\n"])
def test_a_file_without_lines_has_no_items(base: Path, content: bytes) -> None:
    exchange = read(base, content)
    assert exchange.items.equals(ITEMS.to_frame())
    assert exchange.sha256 == {"set.jsonl": sha256(content).hexdigest()}


def test_no_sets_have_no_items(base: Path) -> None:
    evaluation = read_evaluation((), base)
    assert (evaluation.items.schema, evaluation.items.height, evaluation.sha256) == (ITEMS, 0, {})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (CANARY.encode(), "no JSON object"),
        (json.dumps(CANARY).encode(), "no JSON object"),
        (json.dumps([{"prompt": CANARY}]).encode(), "no JSON object"),
        (json.dumps({"prompt": CANARY}).encode()[:-1], "no JSON object"),
        (json.dumps({"prompt": CANARY}).encode() + b"\xff", "no JSON object"),
        (b'{"prompt": "' + CANARY.encode() + b' \xff"}', "no JSON object"),
        (b'{"prompt": "' + CANARY.encode() + b' \\ud800"}', "no JSON object"),
        (b'{"a": 1e999, "prompt": "' + CANARY.encode() + b'"}', "no JSON object"),
        (b'{"a": ' + b"[" * 100_000, "no JSON object"),
        (b"\x1f\x8b\x08\x00", "no JSON object"),
        (b"{}", "no messages, and none of prompt, question"),
        (json.dumps({"answer": CANARY}).encode(), "no messages, and none of prompt, question"),
        (json.dumps({"prompt": [CANARY]}).encode(), "no messages, and none of prompt, question"),
        (json.dumps({"prompt": " "}).encode(), "no messages, and none of prompt, question"),
        (json.dumps({"messages": [TOLD]}).encode(), "no messages, and none of prompt, question"),
        (json.dumps({"messages": [user([])]}).encode(), "no messages, and none of prompt"),
        (json.dumps({"messages": [user([{"text": None}])]}).encode(), "no messages, and none of"),
    ],
    ids=range(17),
)
def test_a_bad_line_is_named_and_its_content_is_not_told(
    base: Path, line: bytes, message: str
) -> None:
    with pytest.raises(ConfigError) as failure:
        read(base, b'{"prompt": "a"}\n\n' + line + b"\n")
    assert str(failure.value).startswith(f"evaluation set set.jsonl:3: {message}")
    assert CANARY not in "".join(traceback.format_exception(failure.value))


def test_items_of_all_sets_come_in_their_order(base: Path) -> None:
    contents = {"b.jsonl": b'{"prompt": "1"}\n', "sub/a.jsonl": b'{"prompt": "2"}\n{"prompt": "3"}'}
    (base / "sub").mkdir()
    for name, content in contents.items():
        (base / name).write_bytes(content)
    evaluation = read_evaluation(tuple(contents), base)
    assert evaluation.items.rows() == [
        ("b.jsonl:1", "1"),
        ("sub/a.jsonl:1", "2"),
        ("sub/a.jsonl:2", "3"),
    ]
    assert evaluation.sha256 == {name: sha256(data).hexdigest() for name, data in contents.items()}


def test_an_absolute_path_is_taken_as_it_is(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(b'{"prompt": "a"}')
    (base / "set.jsonl").write_bytes(b'{"prompt": "b"}')
    assert read_evaluation((str(path),), base).items.rows() == [(f"{path}:1", "a")]
    assert read_evaluation(("../set.jsonl",), base).items.rows() == [("../set.jsonl:1", "a")]


def test_a_file_right_below_the_root_is_not_one_of_the_recipe(base: Path) -> None:
    name = "evaluation-set-that-no-root-folder-has.jsonl"
    (base / name).write_bytes(b'{"prompt": "a"}')
    with pytest.raises(ConfigError, match=f"/{name}: no such file"):
        read_evaluation((f"/{name}",), base)


def test_sets_are_read_from_any_store(store: Store, base: Path) -> None:
    content = b'\xef\xbb\xbf{"messages": [{"role": "user", "content": "2 + 2?"}]}\r\n'
    store.put_new("sets/a.jsonl", content)
    uri = f"{store.uri}/sets/a.jsonl"
    evaluation = read_evaluation((uri,), base)
    assert evaluation.items.rows() == [(f"{uri}:1", "2 + 2?")]
    assert evaluation.sha256 == {uri: sha256(content).hexdigest()}


@pytest.mark.parametrize("name", ["b.jsonl", "sets", "sets/", "sets/a", "no/a.jsonl"])
def test_a_set_that_is_not_there_is_named(store: Store, base: Path, name: str) -> None:
    store.put_new("sets/a.jsonl", b'{"prompt": "a"}')
    with pytest.raises(ConfigError, match=f"evaluation set {store.uri}/{name}: no such file"):
        read_evaluation((f"{store.uri}/{name}",), base)


@pytest.mark.parametrize("uri", ["", ".", "s3://", "s3://bucket", "https://example.com/a.jsonl"])
def test_what_names_no_file_is_refused(base: Path, uri: str) -> None:
    with pytest.raises(ConfigError):
        read_evaluation((uri,), base)


def test_items_of_all_sets_together_are_limited(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "MAX_ITEMS", 3)
    (base / "a.jsonl").write_bytes(b'{"prompt": "a"}\n\n' * 2)
    (base / "b.jsonl").write_bytes(b'{"prompt": "b"}\n' * 2)
    assert read_evaluation(("a.jsonl",), base).items.height == 2
    with pytest.raises(ConfigError, match=r"evaluation set b\.jsonl: more than 3 items"):
        read_evaluation(("a.jsonl", "b.jsonl"), base)
