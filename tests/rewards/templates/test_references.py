"""References of all templates: what makes one, what fits, and that it survives being JSON."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards.templates import judge
from bedrock_sluice.rewards.templates.base import Template, template_named, templates
from bedrock_sluice.transforms.decode.json_limits import MAX_JSON_DEPTH
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]

OPTIONS: dict[str, Json] = {
    "custom": {"reference": {"final": "final_answer", "why": "steps"}},
    "judge": {"kind": "reasoning"},
}
ALL = [template_named(name, OPTIONS.get(name)) for name in templates()]
ALL.append(template_named("qa", {"kind": "text"}))
CASES = [{"input": [1, 2], "expected_output": 3, "output": "3"}]
WEATHER = {"tool_called": "weather", "tool_parameters": {"city": "Bern"}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# --- what makes a reference


def calling(behavior: str, **parameters: object) -> Json:
    arguments = ", ".join(f"{key}={value!r}" for key, value in sorted(parameters.items()))
    reference = {"tool_called": "weather", "tool_parameters": parameters}
    return {**reference, "expected_behavior": behavior, "ground_truth": [f"weather({arguments})"]}


MADE: list[tuple[str, Json, Any]] = [
    ("math-openweight", {"final_answer": 72, "steps": ["6 x 12", "#### 70"]}, "6 x 12\n#### 72"),
    ("math-openweight", {"final_answer": "$1,234"}, "#### 1234"),
    ("math-openweight", {"final_answer": "many"}, None),
    ("math-openweight", {}, None),
    ("judge", {"answer": " Bern "}, {"answer": "Bern"}),
    ("judge", {"answer": 7}, {"answer": "7"}),
    ("judge", {"expectedAnswer": "Bern"}, {"answer": "Bern", "expectedAnswer": "Bern"}),
    ("judge", {"answer": "", "ground_truth": "Bern"}, {"answer": "Bern", "ground_truth": "Bern"}),
    ("judge", {"answer": "Bern", "ground_truth": "the city of Bern", "criteria": ["short"]},
     {"answer": "Bern", "ground_truth": "the city of Bern", "criteria": ["short"]}),
    ("judge", {"answer": "Bern", "criteria": [1], "label": " "}, {"answer": "Bern"}),
    ("judge", {"answer": True}, None),
    ("judge", {"answer": float("nan")}, None),
    ("judge", {"criteria": "short"}, None),
    ("tool", {**WEATHER, "expected_behavior": "Ask."}, calling("Ask.", city="Bern")),
    ("tool", {**WEATHER, "tool_parameters": {"d": 3, "city": "Bern"}},
     calling('Call weather with city="Bern", d=3', d=3, city="Bern")),
    ("tool", {**WEATHER, "tool_parameters": '{"d": 3}'}, calling("Call weather with d=3", d=3)),
    ("tool", {"tool_called": " weather "}, calling("Call weather")),
    ("tool", {**WEATHER, "tool_parameters": "d=3"}, None),
    ("tool", {**WEATHER, "tool_parameters": None}, None),
    ("tool", {**WEATHER, "tool_parameters": {"at": {1, 2}}}, None),
    ("tool", {**WEATHER, "tool_parameters": {"d": float("nan")}}, None),
    ("tool", {**WEATHER, "tool_parameters": {"d": deep(MAX_JSON_DEPTH)}}, None),
    ("tool", {**WEATHER, "tool_parameters": "[" * 200_000}, None),
    ("tool", {**WEATHER, "tool_called": " "}, None),
    ("tool", {"tool_parameters": {}}, None),
    ("tool", {"tool_called": "get-weather"},
     {"tool_called": "get-weather", "tool_parameters": {},
      "expected_behavior": "Call get-weather"}),
    ("tool", {"tool_called": "weather", "tool_parameters": {"from": 3}},
     {"tool_called": "weather", "tool_parameters": {"from": 3},
      "expected_behavior": "Call weather with from=3"}),
    ("code", {"test_cases": [{"input": [1, 2], "expected_output": 3}]}, {"test_cases": CASES}),
    ("code", {"test_cases": [{"input": "1 2", "output": "3"}]},
     {"test_cases": [{"input": "1 2", "expected_output": "3", "output": "3"}]}),
    ("code", {"test_cases": [{"input": "", "expected_output": True}]},
     {"test_cases": [{"input": "", "expected_output": True, "output": "True"}]}),
    ("code", {"test_cases": [7]}, None),
    ("code", {"test_cases": json.dumps(CASES), "code": "  x = 1\n", "all_tests_pass": "true"},
     {"code": "  x = 1\n", "test_cases": CASES, "all_tests_pass": True}),
    ("code", {"test_cases": CASES, "code": " ", "all_tests_pass": 1}, {"test_cases": CASES}),
    ("code", {"test_cases": [{"input": 1}]}, None),
    ("code", {"test_cases": []}, None),
    ("code", {"test_cases": "none"}, None),
    ("code", {"code": "x = 1"}, None),
    ("format", {"constraints": {"json": True, "regex": None, "bullets": 0}},
     {"constraints": {"json": True, "bullets": 0}}),
    ("format", {"constraints": '{"max_words": 3}'}, {"constraints": {"max_words": 3}}),
    ("format", {"constraints": {"json": False}}, None),
    ("format", {"constraints": "at most 3 words"}, None),
    ("format", {}, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fields", "reference"), MADE)
def test_a_label_makes_a_reference_that_fits_or_none(
    name: str, fields: Json, reference: object
) -> None:
    template = template_named(name)
    assert template.from_fields(fields) == reference
    assert reference is None or template.fits(reference)


@pytest.mark.parametrize(
    ("name", "text", "reference"),
    [
        ("math-openweight", "6 x 12\n#### 72.", "6 x 12\n#### 72"),
        ("math-openweight", "72", None),
        ("judge", " Bern.\nIt is so. ", {"answer": "Bern.\nIt is so."}),
        ("judge", " ", None),
        ("tool", json.dumps(WEATHER), calling('Call weather with city="Bern"', city="Bern")),
        ("tool", "I call the weather.", None),
        ("tool", "[1]", None),
        ("code", json.dumps({"test_cases": CASES}), None),
        ("format", '{"constraints": {"json": true}}', None),
    ],
)
def test_a_whole_answer_makes_one_where_it_can(name: str, text: str, reference: object) -> None:
    template = template_named(name)
    assert template.from_text(text) == reference
    assert template.from_response({"role": "assistant", "content": text}) == reference


def message_with_calls(*functions: object) -> Json:
    calls = [{"id": "c", "type": "function", "function": each} for each in functions]
    return {"role": "assistant", "content": None, "tool_calls": calls}


CALL = {"name": "weather", "arguments": '{"city":"Bern"}'}


@pytest.mark.parametrize(
    ("message", "reference"),
    [
        (message_with_calls(CALL), calling('Call weather with city="Bern"', city="Bern")),
        (message_with_calls({"name": "weather", "arguments": ""}), calling("Call weather")),
        (message_with_calls({"name": "weather", "arguments": "{"}), None),
        (message_with_calls({"name": "weather", "arguments": "[]"}), None),
        (message_with_calls({"name": "weather", "arguments": '{"d": NaN}'}), None),
        (message_with_calls({"arguments": "{}"}), None),
        (message_with_calls("weather"), None),
        (message_with_calls(CALL, CALL), None),
        ({"role": "assistant", "content": None}, None),
        ({"role": "assistant", "content": "x", "tool_calls": "y"}, None),
        ({"role": "assistant", "content": None, "tool_calls": [7]}, None),
    ],
)
def test_a_logged_call_makes_the_reference_of_tool(message: Json, reference: object) -> None:
    assert template_named("tool").from_response(message) == reference


@pytest.mark.parametrize("name", ["math", "qa", "judge"])
def test_a_response_without_a_text_makes_none(name: str) -> None:
    assert template_named(name).from_response(message_with_calls(CALL)) is None


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("math", {"final_answer": "72", "steps": []}),
        ("math-openweight", "#### 72"),
        ("qa", {"answer": "72"}),
        ("judge", {"answer": "72"}),
        ("tool", None),
    ],
)
def test_a_tag_may_hold_the_answer(name: str, reference: object) -> None:
    tags = {"answer": "7", "gold": "72"}
    assert template_named(name).from_metadata(tags, "gold") == reference
    assert template_named(name).from_metadata(tags, "silver") is None
    assert template_named(name).from_metadata(tags, None) is None


# --- what fits


@pytest.mark.parametrize(
    ("name", "reference", "fits"),
    [
        ("math-openweight", "#### 72", True),
        ("math-openweight", "so\n#### -7.5", True),
        ("math-openweight", "so #### 72", False),
        ("math-openweight", "#### 70\n#### 72", False),
        ("math-openweight", "#### 72\n", False),
        ("math-openweight", "#### 1,234", False),
        ("math-openweight", "#### " + "9" * 51, False),
        ("math-openweight", "72", False),
        ("math-openweight", {"text": "#### 72"}, False),
        ("judge", "Bern", True),
        ("judge", {"ground_truth": "Bern"}, True),
        ("judge", {"answer": " ", "ground_truth": "Bern"}, False),
        ("judge", {"answer": ["Bern"]}, False),
        ("judge", " ", False),
        ("judge", {"solution": "Bern"}, False),
        ("tool", WEATHER, True),
        ("tool", {"tool_called": "weather"}, False),
        ("tool", {"tool_called": None, "tool_parameters": {}}, False),
        ("tool", "weather", False),
        ("code", {"test_cases": CASES, "novel": 1}, True),
        ("code", {"test_cases": [*CASES, 7]}, False),
        ("code", CASES, False),
        ("format", {"constraints": {"must_include": []}}, True),
        ("format", {"constraints": {"json": False, "max_words": 1}}, True),
        ("format", {"constraints": {"colour": "red"}}, False),
        ("format", {"constraints": {"max_words": True}}, False),
        ("format", {"constraints": {"max_words": 3.0}}, False),
        ("format", {"constraints": {"json": 1}}, False),
        ("format", {"constraints": {"must_include": [1]}}, False),
        ("format", {"constraints": {"regex": "("}}, False),
        ("format", {"constraints": {"regex": "a{99999999999}"}}, False),
        ("format", {"constraints": {"regex": "a" * 501}}, False),
        ("format", {"constraints": {}}, False),
        ("format", {"constraints": [1]}, False),
    ],
)
def test_what_a_grader_can_read_fits(name: str, reference: object, fits: bool) -> None:
    assert template_named(name).fits(reference) is fits


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.name)
@pytest.mark.parametrize("junk", [None, 7, [], {}, "", True, {"novel": 1}])
def test_what_holds_no_answer_fits_nobody(template: Template, junk: object) -> None:
    assert not template.fits(junk)


@pytest.mark.parametrize(
    ("tools", "is_taken"),
    [
        ([TOOL], True),
        ([{"type": "function", "function": {"name": "rain"}}, TOOL], True),
        ([{"type": "function", "function": {"name": "rain"}}], False),
        ([], False),
        (None, False),
        ("weather", False),
    ],
)
def test_a_call_needs_the_tool_that_it_calls(tools: object, is_taken: bool) -> None:
    line = {"messages": [], "reference_answer": WEATHER, "tools": tools}
    assert template_named("tool").accepts(line) is is_taken


def test_other_lines_need_no_tools() -> None:
    assert template_named("qa").accepts({"reference_answer": {"answer": "25"}})
    assert not template_named("qa").accepts({"reference_answer": "25"})
    assert not template_named("tool").accepts({"reference_answer": "25"})


# --- all of them

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
_CASE = st.fixed_dictionaries({"input": _VALUES, "expected_output": _VALUES})
_CONSTRAINTS = st.fixed_dictionaries(
    {},
    optional={
        "json": st.booleans() | st.none(),
        "max_words": st.integers() | st.booleans(),
        "must_include": st.lists(st.text()),
        "starts_with": st.text(),
        "regex": st.text(alphabet="ab()*+.^$\\"),
        "novel": _VALUES,
    },
)
_FIELDS = st.fixed_dictionaries(
    {"tool_called": st.text() | _VALUES, "final_answer": st.integers() | _VALUES},
    optional={
        "answer": st.text() | _VALUES,
        "steps": st.lists(st.text()) | _VALUES,
        "tool_parameters": st.dictionaries(st.text(), _VALUES) | _VALUES,
        "test_cases": st.lists(_CASE) | _VALUES,
        "constraints": _CONSTRAINTS | _VALUES,
        **dict.fromkeys(("ground_truth", "code", "expected_behavior", "criteria"), _VALUES),
    },
)


@pytest.mark.parametrize("template", ALL, ids=lambda template: template.name)
@given(fields=_FIELDS, text=st.text())
def test_every_reference_that_is_made_fits_and_survives_json(
    template: Template, fields: Json, text: str
) -> None:
    references = [
        template.from_fields(fields),
        template.from_text(text),
        template.from_text(f"{template.marker} {text}"),
        template.from_metadata({"answer": text}, "answer"),
    ]
    for reference in (each for each in references if each is not None):
        assert template.fits(reference)
        encoded_reference = msgspec.json.encode(reference, order="deterministic")
        assert msgspec.json.decode(encoded_reference) == reference


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("math", {"final_answer": "72", "steps": ["a"]}, {"final_answer": "72", "steps": []}),
        ("math-openweight", "a\n#### 72", "#### 72"),
        ("tool", calling("Ask.", city="Bern"), calling("Call.", city="Bern")),
    ],
)
def test_answers_that_differ_in_words_alone_do_not_contradict(
    name: str, one: Any, other: Any
) -> None:
    template = template_named(name)
    assert template.comparison_key(one) == template.comparison_key(other)


# --- options


@pytest.mark.parametrize("kind", judge.KINDS)
def test_a_judge_is_told_what_its_kind_needs(kind: str) -> None:
    template = template_named("judge", {"kind": kind})
    assert isinstance(template, judge.JudgeTemplate)
    further = {key: "x" for each in judge.KINDS.values() for key in each.tells}
    kind_fields = dict.fromkeys(judge.KINDS[kind].tells, "x")
    assert template.from_fields({"answer": "Bern", **further}) == {"answer": "Bern", **kind_fields}
    assert template.rubric == judge.KINDS[kind].rubric


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("math", {"kind": "x"}, "template 'math' has no option kind; it has none"),
        ("judge", {"kid": "x", "b": 1}, "template 'judge' has no option b, kid; it has kind"),
        ("judge", {"kind": "strict"}, "name one of instruction-following, summarisation, "),
        ("judge", {"kind": ["reasoning"]}, "there is no such judge"),
    ],
)
def test_an_option_that_is_no_good_is_refused(name: str, options: Json, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        template_named(name, options)


def test_options_that_are_not_set_are_none() -> None:
    assert template_named("math", {"reference": None}) is templates()["math"]
