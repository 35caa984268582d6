"""Changes of lines: the prompt and its answer alike, never the id, and JSON stays JSON."""

import json
from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.features.quality import RESERVED_WORDS, escape_reserved
from bedrock_sluice.transforms.privacy.detection import find_personal_data, mask_personal_data
from bedrock_sluice.transforms.privacy.kinds import KINDS, PERSONAL, SECRETS
from bedrock_sluice.transforms.privacy.masking import (
    escape_lines,
    mask_lines,
)

Json = dict[str, Any]

KEY = "a salt of this recipe"
EMAIL, CARD, TOKEN = "kim.doe@example.com", "4111 1111 1111 1111", "ghp_" + "a1B2" * 9


def encode(line: Json) -> str:
    """A line as it is rendered."""
    return msgspec.json.encode(line).decode()


def line(content: str, answer: Any = "4", **more: Any) -> str:
    """A line that asks this, and wants that answer."""
    messages = [{"role": "user", "content": content}]
    whole = {"id": "r1", "messages": messages, "reference_answer": {"answer": answer}, **more}
    return encode(whole)


def change_lines(change: Callable[[pl.Series], pl.Series], *lines: str) -> list[str]:
    """Lines after a change of their series, which keeps its name and its length."""
    series = change(pl.Series("json", lines, dtype=pl.String))
    assert (series.name, series.len()) == ("json", len(lines))
    assert series.dtype == pl.String
    return series.to_list()


def mask_each(*lines: str, kinds: tuple[str, ...] = KINDS) -> list[str]:
    is_clean = pl.Series([False] * len(lines), dtype=pl.Boolean)
    return change_lines(lambda series: mask_lines(series, is_clean, KEY, kinds, ()).lines, *lines)


def escape(*lines: str) -> list[str]:
    return change_lines(escape_lines, *lines)


def left(text: str) -> set[str]:
    """The kinds of what a reader of the line would find."""
    return {finding.kind for finding in find_personal_data(text)}


# --- Masks


@pytest.mark.parametrize("value", [EMAIL, CARD, TOKEN])
def test_a_value_has_one_mask_in_prompt_answer_and_what_rides_along(value: str) -> None:
    (text,) = mask_each(line(f"who is {value}?", answer=value, ground_truth=[{"of": value}]))
    mask = mask_personal_data(value, KEY)
    assert mask != value
    read = json.loads(text)
    assert read["messages"][0]["content"] == f"who is {mask}?"
    assert read["reference_answer"] == {"answer": mask}
    assert read["ground_truth"] == [{"of": mask}]


def test_lines_are_masked_alike_whatever_stands_beside_them() -> None:
    lines = [line(EMAIL), line("2 + 2?"), line(f"{CARD}, {EMAIL}")]
    assert mask_each(*lines) == [mask_each(each)[0] for each in lines]
    assert mask_each() == []


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [((), {"email", "token"}), (SECRETS, {"email"}), (PERSONAL, {"token"}), (KINDS, set())],
)
def test_only_what_is_asked_for_is_masked(kinds: tuple[str, ...], expected: set[str]) -> None:
    (text,) = mask_each(line(f"{EMAIL} {TOKEN}"), kinds=kinds)
    assert left(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        line("2 + 2?"),
        line('naïve 😀 \u2028 \\ " </script>'),
        '{"id": "r1",  "n": 1.50, "big": 123456789012345678901234567890, "messages": []}',
        '{"messages":[],"id":"r1"}',
        f'{{"id":"{EMAIL}","n":1.50}}',
        "{}",
    ],
    ids=["plain", "odd characters", "odd JSON", "id last", "the id is an address", "nothing"],
)
def test_a_line_without_findings_stays_to_the_byte(text: str) -> None:
    assert mask_each(text) == [text]
    assert escape(text) == [text]


def test_the_id_and_the_order_of_fields_stay() -> None:
    text = encode({"z": EMAIL, "id": f"{EMAIL} User:", "a": {"id": EMAIL}, "m": "User:"})
    for (changed_line,) in (mask_each(text), escape(text)):
        assert json.loads(changed_line)["id"] == f"{EMAIL} User:"
        assert list(json.loads(changed_line)) == ["z", "id", "a", "m"]
    assert json.loads(mask_each(text)[0])["a"] == {"id": mask_personal_data(EMAIL, KEY)}


def test_a_line_without_an_id_gains_none() -> None:
    assert json.loads(mask_each(encode({"m": EMAIL}))[0]).keys() == {"m"}
    assert json.loads(escape(encode({"m": "User:"}))[0]).keys() == {"m"}


def call(name: str, arguments: str, call_id: str = "t") -> Json:
    """A message that calls a tool; `arguments` is JSON text."""
    function = {"name": name, "arguments": arguments}
    calls = [{"id": call_id, "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def test_arguments_of_tool_calls_are_masked_and_stay_json() -> None:
    arguments = json.dumps({"to": EMAIL, "card": 4111111111111111, "n": 1})
    (text,) = mask_each(encode({"id": "r1", "messages": [call("mail", arguments)]}))
    read = json.loads(json.loads(text)["messages"][0]["tool_calls"][0]["function"]["arguments"])
    assert read == {
        "to": mask_personal_data(EMAIL, KEY), "card": mask_personal_data(CARD, KEY), "n": 1
    }  # fmt: skip


def test_a_number_under_a_key_that_tells_is_masked_alone_as_among_others() -> None:
    alone, beside = mask_each(
        line("2 + 2?", answer={"password": 10001}), line(EMAIL, {"password": 10001})
    )
    assert json.loads(alone)["reference_answer"] == json.loads(beside)["reference_answer"]
    assert "10001" not in alone


def test_keys_are_not_masked() -> None:
    (text,) = mask_each(line("2 + 2?", answer={EMAIL: EMAIL}))
    (name,) = json.loads(text)["reference_answer"]["answer"]
    assert name == EMAIL


# --- Words broken up


@pytest.mark.parametrize("word", RESERVED_WORDS)
def test_a_reserved_word_is_broken_in_prompt_and_answer_alike(word: str) -> None:
    (text,) = escape(line(f"so {word.upper()} {word}", answer=[word, 1], domain=word))
    read = json.loads(text)
    broken_word = escape_reserved(word)
    assert broken_word != word
    assert read["messages"] == [
        {"role": "user", "content": escape_reserved(f"so {word.upper()} {word}")}
    ]
    assert (read["reference_answer"], read["domain"]) == ({"answer": [broken_word, 1]}, broken_word)


def test_roles_and_keys_are_no_text_to_break() -> None:
    chat = [{"role": role, "content": "User:"} for role in ("system", "user", "assistant")]
    (text,) = escape(encode({"id": "r1", "messages": chat, "System:": {"User:": 1}}))
    read = json.loads(text)
    assert [message["role"] for message in read["messages"]] == ["system", "user", "assistant"]
    assert read["System:"] == {"User:": 1}


def test_tools_and_their_calls_still_agree() -> None:
    """A schema names its properties by keys and in `required`: neither may change alone."""
    schema = {"type": "object", "properties": {"User:": {"enum": ["Bot:"]}}, "required": ["User:"]}
    tool = {
        "type": "function",
        "function": {"name": "f", "description": "Bot:", "parameters": schema},
    }
    arguments = json.dumps({"User:": "Bot:", "said": "\bot: [EOS]"})
    result = {"role": "tool", "content": "Bot: ok", "tool_call_id": "User:1"}
    chat = [call("f", arguments, "User:1"), result]
    (text,) = escape(encode({"id": "r1", "messages": chat, "tools": [tool]}))
    read = json.loads(text)
    assert read["tools"] == [tool]
    assert read["messages"] == [chat[0], result | {"content": "Bot : ok"}]


# --- Any line

_WORDS = [
    EMAIL, CARD, TOKEN, "password: Tr0ub4dor&3!", "phone +44 20 7946 0018", *RESERVED_WORDS,
    "password:", "token=", "uSeR:", "\\", '"', "\n", " ", "[", "]", "{", "}", ":", "é", "😀",
    "x", "7",
]  # fmt: skip
_TEXTS = st.lists(st.sampled_from(_WORDS), max_size=6).map("".join)
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.booleans() | st.none() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "password", "phone", "content"]), inner, max_size=3)
    | inner.map(json.dumps),
    max_leaves=6,
)  # fmt: skip
_LINES = st.builds(
    lambda name, question, values, answer, tools: encode(
        {
            "id": name,
            "messages": [{"role": "user", "content": question}, call("f", json.dumps(values))],
            "reference_answer": {"answer": answer},
            "tools": tools,
        }
    ),
    name=_TEXTS,
    question=_TEXTS,
    values=_VALUES,
    answer=_VALUES,
    tools=_VALUES,
)


def shape(value: Any) -> Any:
    """What a JSON value is made of, whatever its texts say."""
    match value:
        case dict():
            return {key: shape(each) for key, each in value.items()}
        case list():
            return [shape(each) for each in value]
        case _:
            return None


@given(text=_LINES, kinds=st.sets(st.sampled_from(KINDS), min_size=1))
def test_masking_leaves_nothing_and_twice_is_once(text: str, kinds: set[str]) -> None:
    (once,) = mask_each(text, kinds=tuple(kinds))
    before, after = json.loads(text), json.loads(once)
    assert after["id"] == before["id"]
    assert shape(after) == shape(before)
    assert left(encode(after | {"id": ""})).isdisjoint(kinds)
    assert mask_each(once, kinds=tuple(kinds)) == [once]


@given(text=_LINES)
def test_escaping_twice_is_once_and_keeps_tools(text: str) -> None:
    (once,) = escape(text)
    before, after = json.loads(text), json.loads(once)
    assert after["id"] == before["id"]
    assert after["tools"] == before["tools"]
    assert after["messages"][1] == before["messages"][1]
    assert shape(after) == shape(before)
    assert not any(w.lower() in after["messages"][0]["content"].lower() for w in RESERVED_WORDS)
    assert escape(once) == [once]


@given(text=_LINES)
def test_arguments_are_json_after_both_changes(text: str) -> None:
    (changed_line,) = escape(*mask_each(text))
    function = json.loads(changed_line)["messages"][1]["tool_calls"][0]["function"]
    json.loads(function["arguments"])


def test_of_a_prompt_known_to_be_clean_only_the_rest_is_read() -> None:
    text = line(f"write to {EMAIL}", f"to {EMAIL}", note=EMAIL)
    result = mask_lines(pl.Series("json", [text]), pl.Series([True]), KEY, KINDS, ())
    assert result.lines[0].count(EMAIL) == 1
    assert json.loads(result.lines[0])["messages"][0]["content"] == f"write to {EMAIL}"


@pytest.mark.parametrize(
    ("text", "mask", "forbid", "kind"),
    [
        (line(EMAIL), ("email",), (), None),
        (line("a", {EMAIL: "b"}), ("email",), (), "email"),
        (line("a", EMAIL), (), ("email",), "email"),
        (line("a", EMAIL), ("card",), (), None),
        (line("a", EMAIL), (), (), None),
    ],
)
def test_what_masking_leaves_and_what_is_forbidden_is_told(
    text: str, mask: tuple[str, ...], forbid: tuple[str, ...], kind: str | None
) -> None:
    result = mask_lines(pl.Series("json", [text]), pl.Series([False]), KEY, mask, forbid)
    assert result.unclean.to_list() == [kind]


# --- Every kind, in every place

SAMPLES = {
    "pem": f"-----BEGIN PRIVATE KEY-----\n{'MIIEvQ0b' * 8}\n-----END PRIVATE KEY-----",
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "aws_secret_key": "aws_secret_access_key=" + "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYq8NcBvKs2u",
    "aws_access_key": "AKIA" + "IOSFODNN7QRSTUVW",
    "token": TOKEN,
    "password": "password=hunter2",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "card": CARD,
    "us_ssn": "219-09-9999",
    "email": EMAIL,
    "phone": "+44 20 7946 0018",
}
PLACES: dict[str, Callable[[str], Json]] = {
    "system": lambda text: {"messages": [{"role": "system", "content": text}]},
    "user": lambda text: {"messages": [{"role": "user", "content": f"so: {text}"}]},
    "call": lambda text: {"messages": [call("f", json.dumps({"n": [text]}))]},
    "call within a call": lambda text: {
        "messages": [call("f", json.dumps({"n": json.dumps({"m": text})}))]
    },
    "result": lambda text: {"messages": [{"role": "tool", "content": text, "tool_call_id": "t"}]},
    "tool": lambda text: {"tools": [{"function": {"name": "f", "description": text}}]},
    "default of a tool": lambda text: {
        "tools": [{"function": {"parameters": {"properties": {"a": {"default": text}}}}}]
    },
    "answer": lambda text: {"reference_answer": {"answer": text}},
    "answer that is a text": lambda text: {"reference_answer": text},
    "passthrough field": lambda text: {"team": text},
    "nested field": lambda text: {"ground_truth": [{"of": text}]},
}
UNMASKED: dict[str, Callable[[str], Json]] = {
    "id": lambda text: {"id": text},
    "key": lambda text: {"reference_answer": {text: 1}},
    "field": lambda text: {text: "x"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_masked_in_each_place(kind: str) -> None:
    lines = {name: line("2 + 2?") for name in PLACES}
    for name, place in PLACES.items():
        lines[name] = encode(json.loads(lines[name]) | place(SAMPLES[kind]))
        assert kind in left(lines[name]), name
    result = mask_lines(pl.Series(lines.values()), pl.Series([False] * len(lines)), KEY, KINDS, ())
    assert result.unclean.to_list() == [None] * len(lines)
    assert [left(text) for text in result.lines] == [set()] * len(lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", UNMASKED)
@pytest.mark.parametrize("is_clean", [True, False])
def test_a_line_with_any_kind_where_nothing_is_masked_is_unclean(
    kind: str, place: str, is_clean: bool
) -> None:
    text = encode(json.loads(line("2 + 2?")) | UNMASKED[place](SAMPLES[kind]))
    assert kind in left(text)
    result = mask_lines(pl.Series([text]), pl.Series([is_clean]), KEY, KINDS, ())
    assert result.unclean.to_list() != [None]


def test_ids_of_requests_hold_nothing() -> None:
    rng = Random(7)
    names = [str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(20_000)]
    assert left("\n".join(encode({"id": name}) for name in names)) == set()


@pytest.mark.parametrize(
    "end", ["password:", "token=", "password", "secret: ", "password is", "sk-"]
)
def test_where_a_field_ends_no_secret_begins(end: str) -> None:
    assert left(line(end, {"x": end}, tools=[{"x": end}])) == set()
