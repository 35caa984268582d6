"""Extraction from a logged response by a pattern or a path, and which of these are rejected."""

import time
from typing import Any

import msgspec
import polars as pl
import pytest

from bedrock_sluice.transforms.answers.extract import Extraction, extract
from bedrock_sluice.transforms.answers.json_path import MAX_PATH_CHARS, MAX_PATH_DEPTH, parse_path
from bedrock_sluice.transforms.patterns import extraction_fault


def response(content: str | None, *arguments: str) -> str:
    """The JSON of an assistant's message, with a tool call for each of the arguments."""
    calls = [
        {"id": str(n), "type": "function", "function": {"name": "tell", "arguments": each}}
        for n, each in enumerate(arguments)
    ]
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    return msgspec.json.encode(message).decode()


def extract_all(extraction: Extraction, *responses: str) -> list[Any]:
    return extract(pl.Series(responses, dtype=pl.String), extraction)


def at_path(path: str) -> Extraction:
    return Extraction(path=parse_path(path))


@pytest.mark.parametrize(
    ("pattern", "content", "answer"),
    [
        (r"total: (\d+)", "total: 12, total: 13", "12"),
        (r"(?s).*total: (\d+)", "total: 12\ntotal: 13", "13"),
        (r"(?i)ANSWER: (?:about )?(\S+)", "answer: about ½", "½"),
        (r"<a>(.*?)</a>", "<a></a>", ""),
        (r"total: (\d+)", "none", None),
        (r"total: (\d+)", None, None),
        (r"(?:x(\d))?y", "y", None),
    ],
)
def test_a_pattern_takes_its_group(pattern: str, content: str | None, answer: str | None) -> None:
    assert extract_all(Extraction(pattern), response(content)) == [answer]


def test_a_pattern_takes_linear_time() -> None:
    assert extract_all(Extraction(r"((?:a+)+)b"), response("a" * 100_000)) == [None]


DOCUMENT = '{"result": {"items": [{"total": 1}, {"total": 2}], "a.b": "c", "0": "zero"}, "n": null}'


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("result.items[0].total", 1),
        ("result.items[-1].total", 2),
        ("result.items[1]", {"total": 2}),
        ('result."a.b"', "c"),
        ('"result"."0"', "zero"),
        ("result.items[*].total", [1, 2]),
        ("max(result.items[].total)", 2),
        ("result.items[?total > `1`] | [0].total", 2),
        ("result.items[2].total", None),
        ("result.items[-3]", None),
        ("result[0]", None),
        ('result.items."0"', None),
        ("length(result.none)", None),
        ("max(result.items)", None),
        ("join('-', result.items)", None),
        ("result.none.deeper", None),
        ("n", None),
        ("n.deeper", None),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(path: str, value: Any) -> None:
    assert extract_all(at_path(path), response(DOCUMENT)) == [value]


@pytest.mark.parametrize(
    ("responses", "value"),
    [
        (response(' {"a": 1}\n'), 1),
        (response('```json\n{"a": 1}\n```'), 1),
        (response('```\n{"a": "```"}\n```\n'), "```"),
        (response('Here it is: {"a": 1}'), None),
        (response("Let me see.", '{"a": 2}'), 2),
        (response(None, '{"a": 2}'), 2),
        (response('{"a": 1}', '{"a": 2}', '{"a": 3}'), 1),
        (response(None), None),
        (response("[" * 100_000), None),
        (response("[" + "1," * 200_000 + "1]"), None),
        (response("9" * 10_000), None),
        (response('"a"'), None),
    ],
    ids=[
        "content", "fenced", "a fence within", "text around it", "the only call", "call alone",
        "two calls", "nothing", "too deep", "too wide", "a long number", "a text",
    ],
)  # fmt: skip
def test_the_document_is_the_content_or_the_only_tool_call(responses: str, value: Any) -> None:
    assert extract_all(at_path("a"), responses) == [value]


def test_answers_stand_in_the_order_of_the_responses() -> None:
    responses = [response(f'{{"a": {n}}}') for n in (3, 1, 2)]
    assert extract_all(at_path("a"), *responses) == [3, 1, 2]
    assert extract_all(at_path("a")) == []
    assert extract_all(Extraction("(.)")) == []


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (r"a(b)c", None),
        (r"a(?P<name>b)", None),
        (r"a", "needs a group"),
        (r"(a)(b)", "needs one group"),
        (r"(a", "is not a regular expression"),
        (r"(?=a)(b)", "is not a regular expression"),
        (r"((?:a{1000}){1000}){9}", "is not a regular expression"),
        ("(" + "a" * 1_000 + ")", "is over 1000 characters long"),
    ],
)
def test_a_pattern_that_can_not_be_used_is_rejected(pattern: str, fault: str | None) -> None:
    message = extraction_fault(pattern)
    assert message is None if fault is None else (message or "").startswith(fault)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "needs 1 to 1000 characters"),
        ("a" * (MAX_PATH_CHARS + 1), "needs 1 to 1000 characters"),
        (".a", "at character 1;"),
        ("a..b", "at character 3;"),
        ("a.", "at character 3;"),
        ("a b", "at character 3;"),
        ("a[x]", "at character 3;"),
        ("a[1", "at character 4;"),
        ("a]", "at character 2;"),
        ("final-answer", "at character 6;"),
        (r'a."\x"', "at character 3;"),
        ("|".join("a" * (MAX_PATH_DEPTH + 1)), "nested over 64 levels"),
        ("(" * 499 + "a" + ")" * 499, "nested over 64 levels"),
        ("!" * 900 + "a", "nested over 64 levels"),
        ("a[*].size(@)", r"size\(\), which is not a function"),
        ("a[*].length(@, b)", r"length\(\) with 2 arguments; it takes 1"),
        ("a[*].merge()", r"merge\(\) with 0 arguments; it takes 1 or more"),
    ],
)
def test_a_path_that_can_not_be_used_is_rejected(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_path(path)


# --- time


def seconds(text: str) -> float:
    """Processor time to look into a response for a path, the best of three."""
    responses = pl.Series([response(text)])
    extraction = at_path("total")
    took = list[float]()
    for _ in range(3):
        start = time.process_time()
        extract(responses, extraction)
        took.append(time.process_time() - start)
        if took[0] > 1:
            break
    return min(took)


@pytest.mark.parametrize("end", ["x", "```"])
@pytest.mark.parametrize("filler", ["\n", " \n", "a", "`", "```\n"])
def test_twice_the_response_takes_no_more_than_about_twice_the_time(filler: str, end: str) -> None:
    size, took = 250, 0.0
    while size < 1 << 15 and took < 0.02:  # until there is something to measure, if ever
        size, took = 2 * size, seconds("```" + filler * 2 * size + end)
    assert seconds("```" + filler * 2 * size + end) < 3.5 * took + 0.01
