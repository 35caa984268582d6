"""Mending: lines are made to fit without inventing data, once and for all; others are set aside."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.conformance.fixes import FixResult, fix_lines
from bedrock_sluice.rewards.profiles import profile_named, profiles
from bedrock_sluice.transforms.decode.lines import read_lines

Json = dict[str, Any]

USER = {"role": "user", "content": "What is 6 x 12?"}
SYSTEM = {"role": "system", "content": "You count."}
SAID = {"role": "assistant", "content": "72"}


def line(*messages: object, **fields: object) -> Json:
    """A line that needs no fix, but for what is given."""
    base = {"id": "a", "messages": list(messages) or [USER], "reference_answer": {"answer": "72"}}
    return {**base, **fields}


def blocks(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


def fix(*texts: bytes | Json, names: tuple[str, ...] = ("nova-docs",)) -> list[FixResult]:
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in texts]
    return list(fix_lines(enumerate(raw, start=1), [profile_named(name) for name in names]))


def fix_one(one: Json, name: str = "nova-docs") -> Json | None:
    """The line after fixing; None if it was set aside."""
    text = fix(one, names=(name,))[0].text
    fixed_json: Json | None = json.loads(text) if text else None
    return fixed_json


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([{"role": "developer", "content": "You count."}, USER], [SYSTEM, USER]),
        ([{"role": "System", "content": "You count."}, USER], [SYSTEM, USER]),
        ([{"role": "user", "content": blocks("What is", "6 x 12?")}],
         [{"role": "user", "content": "What is\n6 x 12?"}]),
        ([USER, {"role": "assistant", "content": blocks("7", "2")}, USER], [USER, SAID, USER]),
        ([USER, SYSTEM, USER], [SYSTEM, USER, USER]),
        ([SYSTEM, {"role": "system", "content": "In tens."}, USER],
         [{"role": "system", "content": "You count.\nIn tens."}, USER]),
        ([{"role": "system", "content": blocks("You count.")}, USER, SYSTEM],
         [{"role": "system", "content": "You count.\nYou count."}, USER]),
        ([{"role": "system", "content": " "}, USER], [USER]),
        ([{**USER, "name": None, "tool_calls": []}], [USER]),
        ([USER, SAID], [USER]),
        ([USER, SAID, USER, SAID, SAID], [USER, SAID, USER]),
    ],
)  # fmt: skip
def test_messages_are_fixed(before: list[Json], after: list[Json]) -> None:
    assert fix_one(line(*before)) == line(*after)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("nova-docs", {"metadata": {"reference_answer": "72"}, "reference_answer": None},
         {"reference_answer": "72"}),
        ("nova-docs", {"metadata": {"reference_answer": "72", "team": "a"},
                       "reference_answer": None},
         {"reference_answer": "72", "metadata": {"team": "a"}}),
        ("nova-docs", {"metadata": {"reference_answer": "1"}, "reference_answer": "2"},
         {"metadata": {"reference_answer": "1"}, "reference_answer": "2"}),
        ("nova-docs", {"id": 7}, {"id": "7"}),
        ("nova-docs", {"tools": []}, {}),
        ("nova-docs", {"tools": None}, {}),
        ("math", {"reference_answer": {"final_answer": "$1,234", "unit": "m"}},
         {"reference_answer": {"final_answer": "1234", "unit": "m"}}),
        ("math", {"reference_answer": {"final_answer": 72, "steps": ["6 x 12"]}},
         {"reference_answer": {"final_answer": "72", "steps": ["6 x 12"]}}),
        ("math", {"reference_answer": "6 x 12 is 72\n#### 72"},
         {"reference_answer": {"final_answer": "72", "steps": ["6 x 12 is 72"]}}),
        ("math", {"reference_answer": 72},
         {"reference_answer": {"final_answer": "72", "steps": []}}),
        ("math-openweight", {"reference_answer": {"final_answer": 72, "steps": ["6 x 12"]}},
         {"reference_answer": "6 x 12\n#### 72"}),
        ("math-openweight", {"reference_answer": {"final_answer": 72, "steps": ["#### 7", "x"]}},
         {"reference_answer": "x\n#### 72"}),  # graders that take the first `####` would read 7
        ("math-openweight", {"reference_answer": "1,234"}, {"reference_answer": "#### 1234"}),
        ("math-openweight", {"reference_answer": {"text": "#### 72"}},
         {"reference_answer": {"text": "#### 72"}}),
        ("qa", {"reference_answer": {"answer": 25, "unit": "%"}},
         {"reference_answer": {"answer": "25", "unit": "%"}}),
    ],
)  # fmt: skip
def test_fields_are_fixed_as_the_profile_wants_them(name: str, before: Json, after: Json) -> None:
    assert fix_one(line(**before), name) == line(**after)


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("forge-sdk", line(USER, SAID)),
        ("nova-docs", line(reference_answer={"final_answer": "1,234"})),
        ("math-openweight", line(reference_answer="#### 1,234")),
    ],
)
def test_what_the_profile_does_not_mind_stays(name: str, one: Json) -> None:
    fixed_line = fix(one, names=(name,))[0]
    assert (fixed_line.text, fixed_line.fixes) == (json.dumps(one).encode(), ())


def test_an_id_is_made_from_the_content_and_is_the_same_every_time() -> None:
    bare = {"messages": [USER], "reference_answer": "72"}
    other_order = dict(reversed(bare.items()))
    first, again, other = (
        json.loads(each.text or b"") for each in fix(bare, other_order, {**bare, "id": "", "x": 1})
    )
    assert again["id"] == f"{first['id']}-2"
    assert len({first["id"], other["id"]}) == 2
    assert fix_one(bare) == first


def test_a_row_of_the_nova_forge_sdk_becomes_a_line() -> None:
    row = {"id": "a", "question": USER["content"], "system": "You count."}
    assert fix_one({**row, "reference_answer": {"answer": "72"}}) == line(SYSTEM, USER)
    assert fix_one({**row, "question": ["?"]}) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (line(SAID), "nova-docs/user-missing"),
        (line({"role": "tool", "content": "x"}, USER), "nova-docs/role"),
        (line({"role": "user", "content": [{"image": {}}]}), "nova-docs/content-text"),
        (line({"role": "user", "content": ""}), "nova-docs/content-blank"),
        (line({**SYSTEM, "name": "x"}, SYSTEM, {"role": "user"}), "nova-docs/content-blank"),
        ({"prompt": "6 x 12?"}, "file/prompt-row"),
        (b'{"a": 1, "a": 2}', "file/repeated-key"),
        (b'{"a": NaN}', "file/not-a-number"),
        (b'{"a": 1', "file/not-json"),
        (b'{"a": "\xff"}', "file/not-utf8"),
    ],
)
def test_what_cannot_be_fixed_is_set_aside_with_its_rule(text: bytes | Json, rule: str) -> None:
    good, bad = fix(line(), text)
    assert good.text is not None
    assert bad.text is None
    assert bad.line == 2
    assert rule in bad.rules


def test_taking_an_answer_off_is_told_as_a_loss() -> None:
    assert [each.loses for each in fix(line(USER, SAID))[0].fixes] == [True]
    assert not any(each.loses for each in fix(line({"role": "Developer"}, USER))[0].fixes)


def test_a_line_that_needs_nothing_keeps_its_bytes() -> None:
    text = b'{ "messages":[{"role":"user","content":"\\u0036"}], "id":"a", "x": 1.10 }'
    assert fix(text)[0].text == text


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbf%b\r\n\r\n%b\r\n",
        b"[%b, %b]",
        b"[\n  %b,\n  %b\n]\n",
        b"%b,\n%b,\n",
        b"\n\n%b\n \n%b",
    ],
)
def test_a_file_in_another_layout_becomes_lines(raw: bytes) -> None:
    text = json.dumps(line()).encode()
    fixed_lines = list(fix_lines(read_lines(raw % (text, text)), [profile_named("nova-docs")]))
    assert [each.text and json.loads(each.text) for each in fixed_lines] == [line(), line()]
    assert not any(each.text and b"\n" in each.text for each in fixed_lines)


def test_a_pretty_printed_object_becomes_one_line() -> None:
    raw = json.dumps(line(), indent=2).replace('6 x 12?"', '6 x 12?"\r').encode()
    fixed_lines = list(fix_lines(read_lines(raw), [profile_named("nova-docs")]))
    assert [each.text and each.text.count(b"\n") for each in fixed_lines] == [0]
    assert [each.text and each.text.count(b"\r") for each in fixed_lines] == [0]


# --- whatever comes

texts = st.sampled_from(["", " ", "6 x 12?", "You count.", "é 😀", "#### 72", "$1,234", "User: x"])
contents = st.one_of(
    texts,
    st.none(),
    st.lists(texts, max_size=3).map(lambda several: blocks(*several)),
    st.just([{"type": "image_url"}]),
    st.integers(),
)
roles = st.sampled_from(["system", "user", "assistant", "developer", "User", "tool", "human", ""])
messages: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {"role": roles, "content": contents},
    optional={"name": st.none() | texts, "tool_calls": st.just([]), "tool_call_id": texts},
)
references = st.one_of(
    st.none(), texts, st.integers(), st.dictionaries(
        st.sampled_from(["final_answer", "answer", "steps", "text"]),
        st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    )
)  # fmt: skip
lines = st.fixed_dictionaries(
    {},
    optional={
        "id": st.none() | texts | st.integers() | st.booleans(),
        "messages": st.lists(messages, max_size=5),
        "reference_answer": references,
        "metadata": st.dictionaries(st.sampled_from(["reference_answer", "team"]), references),
        "tools": st.none() | st.just([]) | st.just([{"type": "function"}]),
        "question": texts,
        "system": st.none() | texts,
    },
)
names = st.sampled_from(list(profiles()))


@given(st.lists(lines, max_size=6), names)
def test_fixing_twice_is_fixing_once(many: list[Json], name: str) -> None:
    once = [each.text for each in fix(*many, names=(name,)) if each.text is not None]
    twice = fix(*once, names=(name,))
    assert [each.text for each in twice] == once
    assert not any(each.fixes for each in twice)


@given(st.lists(lines, max_size=6), names)
def test_every_line_is_kept_and_fits_or_is_set_aside_with_a_rule(
    many: list[Json], name: str
) -> None:
    fixed_lines = fix(*many, names=(name,))
    assert [each.line for each in fixed_lines] == list(range(1, len(many) + 1))
    for each in fixed_lines:
        assert (each.text is None) == bool(each.rules)
        if each.text is not None:
            assert line_errors(json.loads(each.text), [profile_named(name)]) == []


@given(lines, names)
def test_fixing_loses_no_word_of_the_prompt_unless_it_says_so(one: Json, name: str) -> None:
    fixed_line = fix(one, names=(name,))[0]
    if fixed_line.text is not None and not any(each.loses for each in fixed_line.fixes):
        assert words(json.loads(fixed_line.text)) == words(one)


def words(one: Json) -> list[str]:
    """All that the messages of a line say; of a row, its question and system."""
    rows = [one.get("system"), one.get("question")] if "messages" not in one else []
    contents = rows + [message.get("content") for message in one.get("messages", [])]
    return sorted(word for content in contents for word in spoken(content).split())


def spoken(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(block.get("text", "") for block in content)
    return content if isinstance(content, str) else ""
