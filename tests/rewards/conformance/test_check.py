"""Conformance: which lines and files each profile takes, and by which rule it refuses others."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.conformance import check as conformance
from bedrock_sluice.rewards.conformance import line_text
from bedrock_sluice.rewards.conformance.check import MAX_LINES_TOLD, Report, check_lines
from bedrock_sluice.rewards.profiles import profile_named, profiles
from bedrock_sluice.transforms.settings import MAX_LINES, MIN_LINES

Json = dict[str, Any]

PLATFORMS = ("nova-docs", "open-weight-docs")
VALIDATORS = ("forge-sdk", "nova-samples")
AWS = (*PLATFORMS, *VALIDATORS)

USER = {"role": "user", "content": "What is 6 x 12? Answer after ####, or after ANSWER:."}
SYSTEM = {"role": "system", "content": "You count."}
SAID = {"role": "assistant", "content": "72"}
TOOL = {
    "type": "function",
    "function": {
        "name": "times",
        "description": "Multiplies.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
CALL = {"tool_called": "times", "tool_parameters": {"a": 6}, "expected_behavior": "Multiply."}
CASES = {"code": "def f(): ...", "test_cases": [{"input": 1, "expected_output": 2}]}
NUMBER = {"final_answer": "72", "steps": ["6 x 12 is 72"]}

REQUIRED = {"type": "object", "properties": {}, "required": ["a"]}


def line(*messages: object, **fields: object) -> Json:
    """A line that every platform takes, but for what is given."""
    base = {"id": "a", "messages": list(messages) or [USER], "reference_answer": NUMBER}
    return {**base, **fields}


def without(key: str) -> Json:
    return {name: value for name, value in line().items() if name != key}


def tool(**changes: object) -> Json:
    """A tool whose function is changed."""
    return {"type": "function", "function": {**TOOL["function"], **changes}}  # type: ignore[dict-item]


def judge(*lines: Json | bytes, names: Iterable[str] = ()) -> Report:
    wanted_profiles = [profile_named(name) for name in names] or list(profiles().values())
    raw = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
    return check_lines([each.removesuffix(b"\n") + b"\n" for each in raw], wanted_profiles)


def is_broken(one: Json | bytes, name: str) -> dict[str, str]:
    """Rules of a profile that one line breaks, with their severity; the number of lines is none."""
    report = judge(one, names=[name])
    findings = (*report.findings, *report.verdict(name).findings)
    severities: dict[str, str] = {each.rule.partition("/")[2]: each.severity for each in findings}
    severities.pop("too-few-lines", None)
    return severities


# --- what is taken


@pytest.mark.parametrize("name", [*PLATFORMS, "forge-sdk", "math"])
@pytest.mark.parametrize(
    "one",
    [
        line(),
        line(SYSTEM, USER),
        line(tools=[TOOL]),
        line(tools=None, id=None),
        line(team="blue", metadata={"source": "web"}),
        without("id"),
    ],
)
def test_a_plain_line_breaks_no_rule(one: Json, name: str) -> None:
    assert is_broken(one, name) == {}


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (line(tools=[TOOL]), "nova-samples"),
        (line({"role": "User"}, {"content": "x"}, tools=[TOOL], extra=1), "nova-samples"),
        (line(USER, reference_answer=None), "forge-sdk"),
        (line({"role": "developer", "content": [{"any": "block"}]}, USER), "forge-sdk"),
        (line({**USER, "tool_call_id": "c"}, {"role": "TOOL", "content": None}), "forge-sdk"),
        (line({**USER, "tool_calls": [7]}, tools=[tool(parameters=REQUIRED)]), "forge-sdk"),
        (line({**USER, "content": "Thought: 6 x 12 [EOS]"}, tools=[TOOL]), "nova-samples"),
        (line(SYSTEM, SYSTEM, USER), "forge-sdk"),
        (line(reference_answer="so it is\n#### 1,234"), "math-openweight"),
        (line(reference_answer={"text": "#### 72"}), "math-openweight"),
        (line(reference_answer="#### 72\n" + "so it is " * 99), "math-openweight"),
        (line(reference_answer={"answer": "yes"}), "qa"),
        (line(reference_answer={"answer": "$1,234.5"}), "qa"),
        (line(reference_answer={"answer": 9.8}), "qa"),
        (line(reference_answer={"answer": "in Bern"}), "qa-text"),
        (line(reference_answer={"ground_truth": 1}), "judge"),
        (line(reference_answer="the first one"), "judge"),
        (line(reference_answer=CALL, tools=[TOOL]), "tool"),
        (line(reference_answer=CASES), "code"),
        (line(reference_answer={"test_cases": [{"output": "3"}]}), "codeforces"),
        (line(metadata={"test_cases": [{"input": "1 2", "output": "3"}]}), "codeforces"),
        (line(reference_answer={"ground_truth": ["times(a=6)", "m.times(6)"]}), "bfcl"),
        (line(reference_answer={}, ground_truth="times(a=6)"), "bfcl"),
    ],
)
def test_what_one_profile_takes(one: Json, name: str) -> None:
    assert is_broken(one, name) == {}


# --- what is refused, and by which rule


LOOKS_LIKE_A_ROLE = {"role": "user", "content": "Ask the ROBOT: what is 6 x 12?"}
BLOCKS = {"role": "user", "content": [{"type": "text", "text": "6 x 12?"}]}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}

REFUSED: list[tuple[Json, str, dict[str, str]]] = [
    (line(USER, {"role": "developer", "content": "x"}), "forge-sdk", {"system-first": "error"}),
    (line({**USER, "tool_calls": {}}), "forge-sdk", {"tool-turns": "error"}),
    (line({**USER, "tool_call_id": 7}), "forge-sdk", {"tool-turns": "error"}),
    (line(tools=[tool(parameters={**REQUIRED, "required": "a"})]), "forge-sdk",
     {"tools-required": "error"}),
    (line(tools=[tool(parameters={**REQUIRED, "required": [1]})]), "forge-sdk",
     {"tools-required": "error"}),
    (line({**USER, "content": "thought:THOUGHT:[eos]"}, tools=[TOOL]), "nova-samples",
     {"reserved-word": "error"}),
    (line(reference_answer=CASES), "codeforces", {"test-cases": "error"}),
    (line(reference_answer={"test_cases": [{"input": [1], "output": "3"}]}), "codeforces",
     {"test-cases": "error"}),
    (line(reference_answer=CALL), "bfcl", {"ground-truth": "error"}),
    (line(reference_answer={"ground_truth": ["times(a="]}), "bfcl", {"ground-truth": "error"}),
    (line(reference_answer={"ground_truth": ["times"]}), "bfcl", {"ground-truth": "error"}),
    (line(reference_answer={"ground_truth": ["get-times(a=6)"]}), "bfcl",
     {"ground-truth": "error"}),
    (line(reference_answer="times(a=6)", ground_truth="times(a=6)"), "bfcl",
     {"reference-object": "error"}),
    *((without("messages"), name, {"messages": "error"}) for name in (*PLATFORMS, "forge-sdk")),
    *((line(messages=[]), name, {"messages": "error"}) for name in ("forge-sdk", "math")),
    (line(messages="6 x 12?"), "nova-docs", {"messages": "error"}),
    (line(messages=[USER, "more"]), "nova-docs", {"messages": "error"}),
    (line({"role": "tool", "content": "x"}, USER), "nova-docs", {"role": "error"}),
    (line({"content": "x"}, USER), "open-weight-docs", {"role": "error"}),
    (line({"role": ["user"], "content": "x"}, USER), "nova-docs", {"role": "error"}),
    (line({"role": "critic", "content": "x"}, USER), "forge-sdk", {"role": "error"}),
    (line({"role": "tool"}, USER, tools=[TOOL]), "nova-samples", {"role": "error"}),
    (line(SYSTEM), "nova-docs", {"user-missing": "error", "last-role": "error"}),
    (line(SYSTEM), "forge-sdk", {"user-missing": "error"}),
    (line(SAID, reference_answer="72"), "judge", {"user-missing": "error"}),
    (line(USER, SAID), "nova-docs", {"last-role": "error"}),
    (line(USER, SAID, USER), "nova-docs", {"single-turn": "warning"}),
    (line(USER, SYSTEM, USER), "nova-docs", {"system-first": "warning", "single-turn": "warning"}),
    (line(SYSTEM, SYSTEM, USER), "nova-docs", {"system-first": "warning"}),
    (line(USER, SYSTEM), "forge-sdk", {"system-first": "error"}),
    (line({**USER, "name": "Ann"}), "nova-docs", {"message-keys": "warning"}),
    (line({**USER, "name": "Ann"}), "forge-sdk", {"message-keys": "error"}),
    (line({"role": "user", "content": " \n"}), "nova-docs", {"content-blank": "error"}),
    (line({"role": "user", "content": []}), "nova-docs", {"content-blank": "error"}),
    (line({"role": "user"}), "nova-docs", {"content-blank": "error"}),
    (line(IMAGE), "nova-docs", {"content-text": "error"}),
    (line({"role": "user", "content": 72}), "nova-docs", {"content-text": "error"}),
    (line(BLOCKS), "nova-docs", {"content-list": "warning"}),
    (line({"role": "user", "content": ""}), "forge-sdk", {"content": "error"}),
    (line({"role": "user", "content": []}), "forge-sdk", {"content": "error"}),
    (line(BLOCKS, tools=[TOOL]), "nova-samples", {"content-string": "error"}),
    (line(LOOKS_LIKE_A_ROLE, tools=[TOOL]), "nova-samples", {"reserved-word": "error"}),
    (line(tools="times"), "nova-docs", {"tools-shape": "error"}),
    (line(tools=[{"type": "function"}]), "forge-sdk", {"tools-shape": "error"}),
    (line(tools=[tool(name=" ")]), "tool",
     {"tools-shape": "error", "tool-called": "error", "tool-offered": "error",
      "expected-behavior": "warning"}),
    (line(tools=[]), "nova-docs", {"tools-empty": "warning"}),
    (line(tools=[]), "forge-sdk", {"tools-empty": "error"}),
    (line(tools=[]), "nova-samples", {"tools-missing": "error"}),
    (line(), "nova-samples", {"tools-missing": "error"}),
    (line(tools=[tool(description="")]), "forge-sdk", {"tools-detail": "error"}),
    (line(tools=[tool(parameters={"type": "object"})]), "forge-sdk", {"tools-detail": "error"}),
    (line(tools=[tool(parameters=None)]), "forge-sdk", {"tools-detail": "error"}),
    (line(tools=[TOOL, TOOL]), "nova-docs", {"tools-repeated": "warning"}),
    (line(tools=[TOOL, TOOL]), "forge-sdk", {"tools-repeated": "error"}),
    (line(id=7), "nova-docs", {"id": "warning"}),
    (line(id=" "), "forge-sdk", {"id": "error"}),
    (line(reference_answer=None, metadata={"reference_answer": "72"}), "nova-docs",
     {"reference-place": "error"}),
    (without("reference_answer"), "nova-docs", {"reference-missing": "warning"}),
    (line(reference_answer=72), "nova-docs", {"reference-type": "warning"}),
    (line(reference_answer=72), "forge-sdk", {"reference-type": "error"}),
    (line(reference_answer={}), "forge-sdk", {"reference-empty": "error"}),
    (line(reference_answer="72"), "forge-sdk", {"reference-object": "warning"}),
    (line(reference_answer="#### 72"), "math", {"reference-object": "error"}),
    (line(reference_answer={"final_answer": 72}), "math", {"final-answer": "error"}),
    (line(reference_answer={"final_answer": "1,234"}), "math", {"final-answer": "error"}),
    (line(reference_answer={"final_answer": "$72"}), "math", {"final-answer": "error"}),
    (line({"role": "user", "content": "6 x 12?"}), "math", {"marker": "warning"}),
    (line(BLOCKS, reference_answer={"answer": "72"}), "qa", {"marker": "warning"}),
    (line(), "math-openweight", {"reference-hashes": "error"}),
    (line(reference_answer="72"), "math-openweight", {"reference-hashes": "error"}),
    (line(reference_answer="#### 72."), "math-openweight", {"reference-hashes": "error"}),
    (line(reference_answer="72"), "qa", {"reference-object": "error"}),
    (line(reference_answer={"answer": " "}), "qa", {"answer": "error"}),
    (line(reference_answer={"answer": "in Bern"}), "qa", {"answer": "error"}),
    (line(reference_answer={"answer": "(5.2)"}), "qa", {"answer": "error"}),
    (line(reference_answer={"answer": True}), "qa", {"answer": "error"}),
    (line(reference_answer={"answer": 72}), "qa-text", {"answer": "error"}),
    (line(), "judge", {"reference": "error"}),
    (line(reference_answer=CALL), "tool", {"tool-offered": "error"}),
    (line(reference_answer={**CALL, "tool_parameters": "a=6"}, tools=[TOOL]), "tool",
     {"tool-called": "error"}),
    (line(reference_answer=[CALL]), "tool", {"reference-object": "error"}),
    (line(), "code", {"test-cases": "error", "code": "warning"}),
    (line(reference_answer={**CASES, "test_cases": [{"input": 1}]}), "code",
     {"test-cases": "error"}),
    (line(reference_answer={**CASES, "code": None}), "code", {"code": "warning"}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "name", "rules"), REFUSED)
def test_a_line_is_refused_by_the_rule_that_it_breaks(
    one: Json, name: str, rules: dict[str, str]
) -> None:
    assert is_broken(one, name) == rules


@pytest.mark.parametrize(("one", "name", "rules"), REFUSED)
def test_a_line_passes_if_what_it_breaks_are_warnings(
    one: Json, name: str, rules: dict[str, str]
) -> None:
    passing = judge(one, names=[name]).verdict(name).passing
    assert passing == (0 if "error" in rules.values() else 1)


def test_every_rule_is_broken_by_some_line_here() -> None:
    rule_names = {rule for _, _, rules in REFUSED for rule in rules}
    here = [each for each in profiles().values() if each.kind != "elsewhere"]
    assert {rule.name for profile in here for rule in profile.rules} == rule_names


# --- the text of a line

TEXTS: list[tuple[bytes, str]] = [
    (b"\n", "blank-line"),
    (b" \t\n", "blank-line"),
    (b"{}\r\n", "crlf"),
    (b'{"a": 1,}', "trailing-comma"),
    (b'{"a": 1},', "trailing-comma"),
    (b'{"a": 1', "not-json"),
    (b"{'a': 1}", "not-json"),
    (b"72", "not-object"),
    (b"null", "not-object"),
    (b"[1, 2]", "not-object"),
    (b'{"a": NaN}', "not-a-number"),
    (b'{"a": [-Infinity]}', "not-a-number"),
    (b'{"a": 1e999}', "number-range"),
    (b'{"a": "\xff"}', "not-utf8"),
    (b'{"a": "\\ud83d"}', "lone-surrogate"),
    (b'{"a": 1, "a": 2}', "repeated-key"),
    (b'{"b": [{"a": 1, "\\u0061": 2}]}', "repeated-key"),
    (b"[" * 200 + b"]" * 200, "too-deep"),
    (b'{"schemaType": "ModelInvocationLog", "modelId": "m"}', "log-record"),
    (b'[{"id": "1", "messages": [], "metadata": {}}]', "lambda-event"),
    (b'{"question": "6 x 12?", "reference_answer": "72"}', "question-row"),
    (b'{"id": "1", "prompt": "6 x 12?", "answer": "72"}', "prompt-row"),
    (b'{"id": "1", "metadata": {"prompt": "6 x 12?"}}', "prompt-row"),
]


@pytest.mark.parametrize(("text", "rule"), TEXTS)
def test_a_text_that_is_no_line_is_told_by_what_is_wrong(text: bytes, rule: str) -> None:
    report = judge(line(), text, line(id="b"))
    places = {finding.rule: finding.lines for finding in report.findings}
    assert places == {f"file/{rule}": (2,)}
    assert report.verdict("math").passing == (3 if text == b"{}\n" else 2)


def test_a_line_over_the_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_text, "MAX_LINE_BYTES", 400)
    findings = judge(line(), line(pad="x" * 400)).findings
    assert [(each.rule, each.lines) for each in findings] == [("file/line-too-long", (2,))]


@pytest.mark.parametrize(
    ("texts", "rule"),
    [
        ([], "empty"),
        ([b"\xef\xbb\xbf" + json.dumps(line()).encode()], "bom"),
        (['{"a": 1}'.encode("utf-16")], "utf16"),
        ([b"\x1f\x8b\x08\x00"], "gzip"),
        ([b"[\n", b'{"a": 1}\n', b"]\n"], "array"),
        ([b'[{"a": 1},\n', b'{"a": 2}]\n'], "array"),
        ([b"{\n", b'"a": 1\n', b"}\n"], "pretty-printed"),
    ],
)
def test_a_file_that_is_no_lines_is_told_once(texts: list[bytes], rule: str) -> None:
    report = check_lines(texts, list(profiles().values()))
    assert [finding.rule for finding in report.findings] == [f"file/{rule}"]
    assert not any(verdict.is_passed for verdict in report.verdicts)


def test_every_fault_of_a_file_has_its_test() -> None:
    every = {
        each.name
        for module in (line_text, conformance)
        for each in vars(module).values()
        if isinstance(each, line_text.Fault)
    }
    rule_names = {rule for _, rule in TEXTS} | {"line-too-long", "repeated-id", "repeated-line"}
    assert every - rule_names == {"empty", "bom", "utf16", "gzip", "array", "pretty-printed"}


# --- the file as a whole


def good_lines(number: int) -> list[Json]:
    return [line(id=f"line-{place}") for place in range(number)]


@pytest.mark.parametrize("name", AWS)
@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (MIN_LINES - 1, "too-few-lines"),
        (MIN_LINES, None),
        (MAX_LINES, None),
        (MAX_LINES + 1, "too-many-lines"),
    ],
)
def test_a_job_takes_so_many_lines(name: str, number: int, rule: str | None) -> None:
    raw = b'{"messages": [{"role": "user", "content": "x"}], "reference_answer": {"a": 1}, '
    tools = json.dumps([TOOL]).encode()
    lines = (raw + b'"tools": %b, "id": "%d"}' % (tools, place) for place in range(number))
    verdict = check_lines(lines, [profile_named(name)]).verdict(name)
    assert [finding.rule for finding in verdict.findings] == ([f"{name}/{rule}"] if rule else [])
    assert verdict.is_passed == (rule is None)


def test_a_grader_takes_any_number_of_lines() -> None:
    assert judge(line()).verdict("math").is_passed


def test_one_bad_line_fails_the_file_and_is_counted() -> None:
    verdict = judge(*good_lines(100), line(USER, SAID), names=["nova-docs"]).verdict("nova-docs")
    assert (verdict.passing, verdict.is_passed) == (100, False)
    assert [(each.rule, each.lines) for each in verdict.findings] == [
        ("nova-docs/last-role", (101,))
    ]


def test_lines_and_ids_that_come_again_are_warned_of() -> None:
    report = judge(line(), line(), line(team="blue"), names=["math"])
    rules = {each.rule: (each.severity, each.lines) for each in report.findings}
    assert rules == {"file/repeated-line": ("warning", (2,)), "file/repeated-id": ("warning", (3,))}
    assert report.verdict("math").is_passed


def test_all_findings_are_counted_and_few_are_kept() -> None:
    findings = judge(*[line(USER, SAID)] * 50, names=["nova-docs"]).verdict("nova-docs").findings
    last_role = next(each for each in findings if each.rule == "nova-docs/last-role")
    assert last_role.count == 50
    assert last_role.lines == tuple(range(1, MAX_LINES_TOLD + 1))


def test_findings_name_no_content_and_no_key_of_the_data() -> None:
    secret = {"role": "swordfish", "content": "swordfish", "swordfish": 1}
    report = judge(line(secret, swordfish=1, id="swordfish", tools="swordfish"), b'{"swordfish"}')
    assert "swordfish" not in repr(report.findings)
    assert "swordfish" not in repr([verdict.findings for verdict in report.verdicts])


KEYS = ("messages", "role", "content", "tools", "reference_answer", "id", "metadata", "type",
        "function", "name", "parameters", "final_answer", "test_cases", "text", "x")  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(KEYS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(anything | st.dictionaries(st.sampled_from(KEYS), anything), max_size=4))
def test_no_json_is_too_strange_to_be_judged(values: list[object]) -> None:
    report = judge(*(json.dumps(value).encode() for value in values))
    assert report.lines == len(values)
    assert all(0 <= verdict.passing <= len(values) for verdict in report.verdicts)


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_no_bytes_are_too_strange_to_be_judged(texts: list[bytes]) -> None:
    assert not check_lines(texts, [profile_named("nova-docs")]).verdict("nova-docs").is_passed
