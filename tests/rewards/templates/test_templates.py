"""Templates: which labels and answers make a reference, and what a line looks like to the byte."""

import json
import re
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.line import render
from bedrock_sluice.rewards.templates.base import OWN_KEYS, template_named, templates
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]

# What the published graders look for in a response, as they write it.
GRADERS = {"math": r"#### (-?[0-9.,]+)", "qa": r"ANSWER:\s*(.+)"}


def test_templates_are_known_by_name() -> None:
    assert list(templates()) == sorted(templates())
    assert set(templates()) == {
        *("code", "custom", "format", "judge", "math", "math-openweight", "qa", "tool"),
    }
    assert all(template.name == name for name, template in templates().items())


def test_an_unknown_template_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no template 'maths'; there are .*math, .*qa, tool$"):
        template_named("maths")


# --- math


def final(number: str, *steps: str) -> Json:
    """A reference of the template math."""
    return {"final_answer": number, "steps": list(steps)}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("72", "72"), ("-72", "-72"), (" 72 ", "72"), ("72.", "72"), ("72.50", "72.50"),
        (".5", ".5"), ("1,234,567.8", "1234567.8"), ("$72", "72"), ("007", "007"),
        (72, "72"), (-3, "-3"), (0, "0"), (0.5, "0.5"), (10**30, str(10**30)),
        (None, None), ("", None), (" ", None), ("$", None), ("seventy", None), ("72 apples", None),
        ("7 2", None), ("1e3", None), (1e300, None), ("½", None), ("1/2", None), ("--1", None),
        ("1.2.3", None), ("nan", None), (float("nan"), None), (float("inf"), None),
        (True, None), ([72], None), ({"a": 1}, None), ("72\n73", None),
        ("٧٢", None), ("７２", None),
    ],
)  # fmt: skip
def test_math_takes_a_plain_number(value: object, number: str | None) -> None:
    reference = template_named("math").from_fields({"final_answer": value})
    assert reference == (final(number) if number is not None else None)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        (["a", " b ", "", "  "], ["a", "b"]),
        ([], []),
        (None, []),
        ("a", []),
        (["a", 1, None, ["b"]], ["a"]),
    ],
)
def test_math_keeps_steps_that_are_texts(steps: object, kept: list[str]) -> None:
    fields = {"final_answer": "1", "steps": steps, "request_id": "r", "novel": object()}
    assert template_named("math").from_fields(fields) == final("1", *kept)


def test_math_needs_the_field_final_answer() -> None:
    assert template_named("math").from_fields({"answer": "72"}) is None


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("#### 72", final("72")),
        ("6 x 12 is 72.\n\n  So:\n#### 72", final("72", "6 x 12 is 72.", "So:")),
        ("#### 1,234.50 ", final("1234.50")),
        ("####72", final("72")),
        ("#### $72.", final("72")),
        ("#### .5", final(".5")),
        ("so\n#### **72%**\r\n", final("72", "so")),
        ("**#### 72.**", final("72")),
        ("#### 70\nno,\n#### 72", final("72", "#### 70", "no,")),
        ("#### 42\n\nNote: see ####\n\n5 apples", final("42")),
        ("#### 72\n" + "x" * (300 - len("#### 72\n")), final("72")),
        ("#### 72\n" + "x" * (301 - len("#### 72\n")), None),
        ("####\n72", None),
        ("#### 72 apples", None),
        ("#### 1. Think\nfive\n#### 2. Answer\nIt is 5", None),
        ("#### 5\n#### 3 steps to do it", None),
        ("##### 72", None),
        ("#### 72\n#### unknown", None),
        ("####", None),
        ("### 72", None),
        ("72", None),
        ("", None),
    ],
)
def test_math_reads_the_last_number_that_ends_its_line_after_the_marker(
    text: str, reference: Json | None
) -> None:
    assert template_named("math").from_text(text) == reference


# --- qa

TEXT = template_named("qa", {"kind": "text"})


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        ("25", "25", "25"), (" yes ", "yes", "yes"), ("No.", "No", "No"), (25, "25", "25"),
        (2.5, "2.5", "2.5"), (0, "0", "0"), ("ANSWER: 5", "5", "5"), ("-5", "-5", "-5"),
        ("\u22125", "-5", "\u22125"), ("-$5", "-5", "-$5"), ("$1,234.50", "1234.50", "$1,234.50"),
        ("9.8%", "9.8%", "9.8%"), ("**ANSWER:** `25`", "25", "25"), ("[25]", "25", "25"),
        ("Bern", None, "Bern"), ("25 apples", None, "25 apples"), ("(5.2)", None, "(5.2)"),
        ("$25 million", None, "$25 million"), ("Yes, it did", None, "Yes, it did"),
        ("1,5", None, "1,5"), ("1e5", None, "1e5"), ("nan", None, "nan"), ("inf", None, "inf"),
        ("é 😀", None, "é 😀"), ("two\r\n\n lines", None, "two lines"),
        ("-", None, None), ("ANSWER:", None, None), ('""', None, None), ("😀", None, None),
        (None, None, None), ("", None, None), (" \n", None, None), (True, None, None),
        (["25"], None, None), ({"a": 1}, None, None), (float("nan"), None, None),
        (float("inf"), None, None),
    ],
)  # fmt: skip
def test_qa_takes_yes_no_and_numbers_or_any_text(
    value: object, number: str | None, text: str | None
) -> None:
    fields = {"answer": value}
    assert template_named("qa").from_fields(fields) == (number and {"answer": number})
    assert TEXT.from_fields(fields) == (text and {"answer": text})


@pytest.mark.parametrize(
    ("response", "number", "text"),
    [
        ("ANSWER: 25", "25", "25"),
        ("It grew.\nANSWER: 25%  \nThank you.", "25%", "25%"),
        ("It grew.\n**ANSWER: 25**", "25", "25"),
        ("It grew.\n**Answer**: 25.", "25", "25"),
        ("ANSWER:yes", "yes", "yes"),
        ("ANSWER: in Bern", None, "in Bern"),
        ("25", "25", "25"),
        ("  25\n", "25", "25"),
        ("ANSWER: <value>, I say.\nANSWER:\t2", "2", "2"),
        ("ANSWER: 1\nANSWER: 2", None, "2"),
        ("ANSWER: 2\nANSWER: 2.0", "2.0", "2.0"),
        ("ANSWER: 2\nANSWER: ?", None, None),
        ("It grew.\n25", None, None),
        ("ANSWER:", None, None),
        ("I can't tell. ANSWER: ", None, None),
        ("ANSWER:\n\n25", None, None),
        ("", None, None),
        (" \n ", None, None),
    ],
)
def test_qa_reads_what_follows_the_last_marker(
    response: str, number: str | None, text: str | None
) -> None:
    assert template_named("qa").from_text(response) == (number and {"answer": number})
    assert TEXT.from_text(response) == (text and {"answer": text})


def test_answers_that_the_grader_takes_for_one_do_not_contradict() -> None:
    qa = template_named("qa")
    assert qa.comparison_key({"answer": "25"}) == qa.comparison_key({"answer": "25.0%"})
    assert qa.comparison_key({"answer": "Yes"}) == qa.comparison_key({"answer": "yes"})
    assert qa.comparison_key({"answer": "25"}) != qa.comparison_key({"answer": "26"})
    assert TEXT.comparison_key({"answer": "Bern"}) == TEXT.comparison_key({"answer": "BERN"})


def test_qa_has_two_kinds_each_with_a_profile() -> None:
    assert template_named("qa", {"kind": "number"}).profiles == ("nova-docs", "qa")
    assert TEXT.profiles == ("nova-docs", "qa-text")
    with pytest.raises(ConfigError, match="qa has no 'prose'; name one of number, text"):
        template_named("qa", {"kind": "prose"})


# --- both


@pytest.mark.parametrize(
    ("name", "reference", "fits"),
    [
        ("math", {"final_answer": "72", "steps": []}, True),
        ("math", {"final_answer": "-0.5"}, True),
        ("math", {"final_answer": 72}, False),
        ("math", {"final_answer": "1,000"}, False),
        ("math", {"final_answer": "$5"}, False),
        ("math", {"final_answer": "٧٢"}, False),
        ("math", {"final_answer": "72\n"}, False),
        ("math", {"final_answer": "9" * 50}, True),
        ("math", {"final_answer": "9" * 51}, False),
        ("math", {"answer": "72"}, False),
        ("math", "#### 72", False),
        ("math", None, False),
        ("qa", {"answer": "yes"}, True),
        ("qa", {"answer": "$1,234.5"}, True),
        ("qa", {"answer": "Bern"}, False),
        ("qa", {"answer": "25 apples"}, False),
        ("qa", {"answer": "inf"}, False),
        ("qa", {"answer": " "}, False),
        ("qa", {"answer": 25}, False),
        ("qa", {"answer": "two\nlines"}, False),
        ("qa", {"answer": "..."}, False),
        ("qa", {}, False),
        ("qa", "yes", False),
        ("qa", None, False),
    ],
)
def test_what_the_grader_can_read_fits(name: str, reference: object, fits: bool) -> None:
    assert template_named(name).fits(reference) is fits


@pytest.mark.parametrize(("name", "key"), [("math", "final_answer"), ("qa", "answer")])
@given(number=st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_a_number_is_found_again_by_the_published_grader(name: str, key: str, number: Any) -> None:
    """The response that was logged earns its own reward."""
    text = f"So it is\n{template_named(name).marker} {number}"
    reference = template_named(name).from_text(text)
    assert isinstance(reference, dict)
    (match,) = re.findall(GRADERS[name], text)
    assert match.replace(",", "") == reference[key]


# --- lines


def prompts(**changes: object) -> pl.DataFrame:
    """One prompt as the pipeline hands it to `render`."""
    row: Json = {
        "request_id": "r1",
        "messages": '[{"role":"user","content":"2 + 2?"}]',
        "reference_answer": '{"answer":"4"}',
        "tools": None,
        "request_metadata": None,
        **changes,
    }
    if isinstance(row["request_metadata"], dict):
        row["request_metadata"] = list(row["request_metadata"].items())
    text = pa.string()
    kinds = {"request_metadata": pa.map_(text, text)}
    schema = pa.schema([(name, kinds.get(name, text)) for name in row])
    return pl.DataFrame(pa.Table.from_pylist([row], schema=schema))


BARE = (
    '{"id":"r1","messages":[{"role":"user","content":"2 + 2?"}],"reference_answer":{"answer":"4"}'
)


@pytest.mark.parametrize(
    ("changes", "fields", "line"),
    [
        ({}, [], BARE + "}"),
        ({"novel": "1"}, [], BARE + "}"),
        ({"tools": '[{"type":"function"}]'}, [], BARE + ',"tools":[{"type":"function"}]}'),
        ({"request_metadata": {"b": "2", "a": "1"}}, [], BARE + "}"),
        ({"request_metadata": {"b": "2", "a": "1"}}, ["a", "b"], BARE + ',"a":"1","b":"2"}'),
        ({"request_metadata": {"b": "2"}}, ["a", "b"], BARE + ',"b":"2"}'),
        ({"request_metadata": None}, ["a"], BARE + "}"),
        ({"request_metadata": {"a": 'é"\n\u2028'}}, ["a"], BARE + ',"a":"é\\"\\n\u2028"}'),
    ],
    ids=[
        "bare", "columns of its own", "tools", "metadata not asked for",
        "metadata in the order asked", "metadata that lack", "no metadata", "escapes",
    ],
)  # fmt: skip
def test_a_line_is_the_same_to_the_byte(changes: Json, fields: list[str], line: str) -> None:
    lines = render(prompts(**changes), fields)
    assert lines.equals(pl.Series("json", [line]), check_names=True, check_dtypes=True)


@pytest.mark.parametrize("key", sorted(OWN_KEYS))
def test_log_metadata_never_replace_a_field_of_the_line(key: str) -> None:
    """Whoever writes request metadata must not write what the model is trained on."""
    frame = prompts(tools='[{"type":"function"}]', request_metadata={key: "FORGED"})
    try:
        (line,) = render(frame, [key])
    except ConfigError:
        return
    assert "FORGED" not in line


@given(name=st.text(), value=st.text())
def test_a_line_is_one_line_of_json_whatever_the_text(name: str, value: str) -> None:
    messages = [{"role": "user", "content": value}]
    frame = prompts(
        request_id=name,
        messages=json.dumps(messages, ensure_ascii=False),
        request_metadata={"note": value},
    )
    (line,) = render(frame, ["note"])
    assert "\n" not in line
    assert json.loads(line) == {
        "id": name,
        "messages": messages,
        "reference_answer": {"answer": "4"},
        "note": value,
    }


def test_lines_come_in_the_order_of_the_prompts() -> None:
    frame = pl.concat([prompts(request_id=name) for name in ("b", "c", "a")])
    assert [json.loads(line)["id"] for line in render(frame, [])] == ["b", "c", "a"]
    assert render(frame.clear(), []).to_list() == []
