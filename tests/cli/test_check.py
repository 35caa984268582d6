"""`sluice check`: the verdict, its exit code, the messages, and the repaired copy."""

import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.protocols import RunSluice

from bedrock_sluice.flows import file_check as module
from bedrock_sluice.rewards.profiles import profiles

Json = dict[str, Any]


Check = Callable[..., Any]


@pytest.fixture
def run(sluice: Callable[..., Any]) -> Check:
    """Run `sluice check` on a file with these profiles."""

    def run(path: Path, *names: str, fix: Path | None = None, as_json: bool = False) -> Any:
        profiles = [argument for name in names for argument in ("--profile", name)]
        options = [*(["--fix", fix] if fix else []), *(["--json"] if as_json else [])]
        return sluice("check", path, *profiles, *options)

    return run


def line(place: int, **fields: object) -> Json:
    question = {"role": "user", "content": f"What is {place} x 12? Answer after ####."}
    base = {"id": f"line-{place}", "messages": [question]}
    return {**base, "reference_answer": {"final_answer": str(12 * place), "steps": []}, **fields}


def write(path: Path, lines: Sequence[Json]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file that a job would take, for the math grader."""
    return write(tmp_path / "good.jsonl", [line(place) for place in range(100)])


def line_with_reply(place: int) -> Json:
    """A line that ends in an answer, as no job takes it."""
    reply = {"role": "assistant", "content": "sesame"}
    return line(place, messages=[*line(place)["messages"], reply])


# --- the verdict


def test_a_file_that_a_job_would_take_passes(good: Path, run: Check) -> None:
    result = run(good)
    assert result.code == 0
    assert result.out == ""
    assert "the file passes" in result.err


def test_without_a_profile_every_one_is_shown_and_a_platform_has_to_pass(
    good: Path, run: Check
) -> None:
    output = json.loads(run(good, as_json=True).out)
    verdicts = {each["profile"]: each["passed"] for each in output["profiles"]}
    assert list(verdicts) == list(profiles())
    assert output["passed"] is True
    assert {name for name, has_passed in verdicts.items() if has_passed} == {
        "nova-docs", "open-weight-docs", "forge-sdk", "math", "sagemaker-rlvr-nova",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["nova-docs"], 0), (["math"], 0), (["nova-docs", "math"], 0), (["math", "math"], 0),
        (["qa"], 1), (["math", "qa"], 1), (["nova-samples"], 1),
    ],
)  # fmt: skip
def test_every_profile_that_is_asked_for_has_to_pass(
    good: Path, run: Check, names: list[str], code: int
) -> None:
    result = run(good, *names, as_json=True)
    profiles = [each["profile"] for each in json.loads(result.out)["profiles"]]
    assert (result.code, profiles) == (code, list(dict.fromkeys(names)))


def test_a_file_with_a_bad_line_is_refused_and_the_line_is_told(tmp_path: Path, run: Check) -> None:
    path = write(
        tmp_path / "a.jsonl", [*(line(place) for place in range(100)), line_with_reply(100)]
    )
    result = run(path)
    assert result.code == 1
    assert "error last-role (line 101), by nova-docs, open-weight-docs: the last" in result.err
    assert "does not pass" in result.err
    assert "sesame" not in result.err


def test_json_tells_rules_with_how_often_and_where(tmp_path: Path, run: Check) -> None:
    path = write(tmp_path / "a.jsonl", [line_with_reply(place) for place in range(7)])
    result = run(path, "nova-docs", as_json=True)
    [verdict] = json.loads(result.out)["profiles"]
    findings = {each["rule"]: each for each in verdict["findings"]}
    assert (verdict["lines_passing"], verdict["lines_failing"]) == (0, 7)
    assert set(findings) == {"nova-docs/last-role", "nova-docs/too-few-lines"}
    assert findings["nova-docs/last-role"]["count"] == 7
    assert findings["nova-docs/last-role"]["lines"] == [1, 2, 3, 4, 5]
    assert findings["nova-docs/last-role"]["hint"]


def test_markup_in_a_path_is_printed_as_it_is(tmp_path: Path, run: Check) -> None:
    path = write(tmp_path / "[red]a.jsonl", [line(1)])
    assert "[red]b.jsonl.rejects" not in run(path, fix=tmp_path / "[red]b.jsonl").err
    write(path, [{"prompt": "x"}])
    assert "[red]b.jsonl.rejects" in run(path, fix=tmp_path / "[red]b.jsonl").err


def test_a_line_over_the_limit_is_one_line(
    good: Path, run: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = good.read_bytes()
    long = json.dumps(line(1, pad="x" * 3000)).encode()
    good.write_bytes(long + b"\n" + whole + long)
    monkeypatch.setattr("bedrock_sluice.rewards.conformance.line_text.MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1000)
    output = json.loads(run(good, as_json=True).out)
    assert output["lines"] == 102
    assert [(each["rule"], each["lines"]) for each in output["findings"]] == [
        ("file/line-too-long", [1, 102])
    ]


# --- the mended copy


def test_the_mended_copy_passes_and_the_file_stays(good: Path, run: Check, tmp_path: Path) -> None:
    good.write_bytes(b"\xef\xbb\xbf" + good.read_bytes().replace(b"\n", b"\r\n\r\n"))
    before = good.read_bytes()
    result = run(good, fix=tmp_path / "out.jsonl")
    assert (result.code, result.out) == (0, f"{tmp_path / 'out.jsonl'}\n")
    assert "fixed in the file itself: file/bom, file/blank-line, file/crlf" in result.err
    assert good.read_bytes() == before
    lines = [json.loads(each) for each in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert lines == [line(place) for place in range(100)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.jsonl", "out.jsonl"]


def test_what_was_lost_is_told(tmp_path: Path, run: Check) -> None:
    path = write(tmp_path / "a.jsonl", [line_with_reply(place) for place in range(100)])
    result = run(path, fix=tmp_path / "out.jsonl")
    assert result.code == 0
    assert "fixed in 100 lines" in result.err
    assert "this loses data: keep the original" in result.err


def test_what_cannot_be_mended_is_set_aside_with_line_and_rule(good: Path, run: Check) -> None:
    text = good.read_bytes().splitlines(keepends=True)
    good.write_bytes(b"".join([*text, b'{"a": 1', b"\n", b'{"prompt": "\xff"}\n']))
    out = good.with_name("out.jsonl")
    output = json.loads(run(good, fix=out, as_json=True).out)
    assert output["repair"]["rejects"] == f"{out}.rejects"
    assert (output["repair"]["lines"], output["repair"]["rejected"]) == (100, 2)
    rows = [json.loads(each) for each in Path(f"{out}.rejects").read_bytes().splitlines()]
    assert [(row["line"], row["rules"]) for row in rows] == [
        (101, ["file/not-json"]), (102, ["file/not-utf8"]),
    ]  # fmt: skip
    assert rows[0]["text"] == '{"a": 1'


def test_mending_for_a_grader_and_a_platform(tmp_path: Path, run: Check) -> None:
    rows = [line(place, reference_answer=f"so\n#### {place}") for place in range(100)]
    path = write(tmp_path / "a.jsonl", rows)
    assert run(path, "nova-docs", "math").code == 1
    assert run(path, "nova-docs", "math", fix=tmp_path / "out.jsonl").code == 0


def test_what_mending_leaves_is_told_and_refused(tmp_path: Path, run: Check) -> None:
    result = run(write(tmp_path / "a.jsonl", [line_with_reply(1)]), fix=tmp_path / "out.jsonl")
    assert result.code == 1
    assert "the file has 1 of the 100 lines" in result.err


def test_a_compressed_array_can_be_mended(tmp_path: Path, run: Check) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(json.dumps([line(place) for place in range(100)]).encode()))
    assert run(path).code == 1
    assert run(path, fix=tmp_path / "out.jsonl").code == 0


def test_rejects_of_an_earlier_run_do_not_stay(good: Path, run: Check) -> None:
    rejects = good.with_name("out.jsonl.rejects")
    rejects.write_text("old", encoding="utf-8")
    run(good, fix=good.with_name("out.jsonl"))
    assert rejects.read_bytes() == b""


# --- what can't be done


@pytest.mark.parametrize("out", ["good.jsonl", "../{}/good.jsonl", "link.jsonl"])
def test_the_copy_never_takes_the_place_of_the_file(good: Path, run: Check, out: str) -> None:
    good.with_name("link.jsonl").symlink_to(good)
    before = good.read_bytes()
    result = run(good, fix=good.parent / out.format(good.parent.name))
    assert (result.code, "write the copy elsewhere" in result.err) == (2, True)
    assert good.read_bytes() == before


def test_rejects_never_take_the_place_of_the_file(good: Path, run: Check) -> None:
    path = good.rename(good.with_name("a.jsonl.rejects"))
    result = run(path, fix=good.with_name("a.jsonl"))
    assert (result.code, "write the copy elsewhere" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.jsonl", "does not exist"),
        ("good.jsonl/none", "does not exist"),
        (".", "is a folder; name a file in it"),
    ],
)
def test_a_file_that_is_not_there_is_told(good: Path, run: Check, name: str, message: str) -> None:
    result = run(good.parent / name)
    assert (result.code, message in result.err) == (2, True)


def test_an_unknown_profile_is_told_before_anything_is_read(tmp_path: Path, run: Check) -> None:
    result = run(tmp_path / "none.jsonl", "math", "nova")
    assert result.code == 2
    assert "nova-docs" in result.err


@pytest.mark.parametrize("content", [b"", "{}".encode("utf-16"), b"\x1f\x8b broken"])
def test_what_is_no_text_cannot_be_mended(tmp_path: Path, run: Check, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    result = run(path, fix=tmp_path / "out.jsonl")
    assert (result.code, "can't be fixed" in result.err) == (2, True)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_copy_that_cannot_be_written_is_told(good: Path, run: Check) -> None:
    result = run(good, fix=good.parent / "none" / "out.jsonl")
    assert (result.code, "No such file or directory" in result.err) == (3, True)
    assert [path.name for path in good.parent.iterdir()] == ["good.jsonl"]


def test_a_fixed_copy_has_the_mode_that_the_umask_leaves_and_says_if_nothing_is_left(
    tmp_path: Path, sluice: RunSluice
) -> None:
    path, out = tmp_path / "lines.jsonl", tmp_path / "fixed.jsonl"
    path.write_text('{"messages": 5}\n')
    previous = os.umask(0o027)
    try:
        result = sluice("check", path, "--fix", out)
    finally:
        os.umask(previous)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("fixed*")} == {0o640}
    assert result.code == 1
    assert "no line can be fixed: all were rejected" in result.err
    assert "the file has no lines" not in result.err
