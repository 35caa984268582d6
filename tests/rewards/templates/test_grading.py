"""Lines made of labels: our graders tell right from wrong on them, and their profiles take them."""

import importlib.util
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards import graders
from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.line import render
from bedrock_sluice.rewards.profiles import profile_named
from bedrock_sluice.rewards.running.events import FORMS, Sample, as_event
from bedrock_sluice.rewards.running.grader_results import read_scores
from bedrock_sluice.rewards.templates import format as form_template
from bedrock_sluice.rewards.templates.base import Template, template_named, templates

Json = dict[str, Any]

FOLDER = Path(str(files(graders)))
OPTIONS: dict[str, Json] = {"custom": {"reference": {"compliant": "verdict"}}}
KINDS = {"qa-text": ("qa", {"kind": "text"})}  # of templates that have several


class Labelled(NamedTuple):
    """The fields of a label, and the responses (texts or messages) that are right and wrong."""

    fields: Json
    right: Any
    wrong: Any


def template_of(name: str) -> Template:
    return template_named(*KINDS.get(name, (name, OPTIONS.get(name))))


def load(name: str) -> Any:
    """The module of a grader, as Lambda loads it: by its path."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_templates", FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


NAMES = [*templates(), *KINDS]
GRADED = {name: grader for name in NAMES if (grader := template_of(name).grader)}
MODULES = {name: load(name) for name in sorted(set(GRADED.values()))}


@pytest.fixture(autouse=True)
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge who is content if the response holds the answer of the reference."""

    def converse(*, messages: list[Json], **_: object) -> Json:
        material = messages[0]["content"][0]["text"].replace("&lt;", "<")
        reference = material.split("<reference>\n")[1].split("\n</reference>")[0]
        response = material.split("<response>\n")[1].split("\n</response>")[0]
        score = 10 if json.loads(reference)["answer"] in response else 0
        blocks = [{"text": json.dumps({"score": score})}]
        return {"output": {"message": {"role": "assistant", "content": blocks}}}

    monkeypatch.setattr(MODULES["judge_grader"], "converse", lambda: converse)
    monkeypatch.setenv("JUDGE_MODEL_ID", "amazon.nova-pro-v1:0")


# --- labels with their responses

WORD = st.from_regex(r"[b-m]{1,8}", fullmatch=True)
NUMBERS = st.integers(-(10**12), 10**12) | st.decimals(-(10**9), 10**9, places=2).map(str)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def solutions(draw: st.DrawFn) -> Labelled:
    number = draw(NUMBERS)
    fields = {"final_answer": number, "steps": draw(st.lists(st.text(), max_size=3))}
    return Labelled(fields, f"So it is\n#### {number}", f"So it is\n#### {number}1")


@st.composite
def answers(draw: st.DrawFn) -> Labelled:
    number = draw(st.integers(-(10**9), 10**9))
    return Labelled({"answer": number}, f"So\nANSWER: {number}", f"ANSWER: {2 * number + 9}")


@st.composite
def texts(draw: st.DrawFn) -> Labelled:
    text = " \n".join(draw(st.lists(WORD, min_size=1, max_size=5)))
    return Labelled({"answer": text}, f"ANSWER: {' '.join(text.split())}", f"ANSWER: {text[:-1]}z")


@st.composite
def judgements(draw: st.DrawFn) -> Labelled:
    fields = {"ground_truth": draw(WORD), "criteria": draw(st.lists(st.text(), max_size=2))}
    return Labelled(fields, f"It is {fields['ground_truth']}.", "NO")


@st.composite
def calls(draw: st.DrawFn) -> Labelled:
    parameters = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3))
    name, other = draw(st.lists(WORD, min_size=2, max_size=2, unique=True))
    right, wrong = (tool_call(each, parameters) for each in (name, other))
    argument_json: Any = json.dumps(parameters) if draw(st.booleans()) else parameters
    return Labelled({"tool_called": name, "tool_parameters": argument_json}, right, wrong)


def tool_call(name: str, parameters: Json) -> Json:
    function = {"name": name, "arguments": json.dumps(parameters)}
    call = {"id": "c", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@st.composite
def forms(draw: st.DrawFn) -> Labelled:
    words = draw(st.lists(WORD, min_size=1, max_size=6))
    every = {
        "max_words": len(words),
        "must_include": words[:1],
        "must_not_include": ["sorry"],
        "starts_with": words[0],
        "bullets": 0,
        "regex": f"^{words[0]}",
    }
    constraint_names = draw(st.lists(st.sampled_from(sorted(every)), min_size=1))
    fields = {"constraints": {name: every[name] for name in constraint_names} | {"json": False}}
    return Labelled(fields, " ".join(words), "- sorry " * (len(words) + 1))


LABELS: dict[str, Callable[[], st.SearchStrategy[Labelled]]] = {
    "math": solutions,
    "math-openweight": solutions,
    "qa": answers,
    "qa-text": texts,
    "judge": judgements,
    "tool": calls,
    "format": forms,
}


def make_line(name: str, fields: Json) -> Json:
    """The line of one label, as it is rendered for a prompt that asks for the marker."""
    template = template_of(name)
    reference = template.from_fields(fields)
    assert reference is not None
    tools = [{"function": {"name": fields.get("tool_called")}, "type": "function"}]
    row = {
        "request_id": "a",
        "messages": json.dumps([{"role": "user", "content": template.instruction or "Well?"}]),
        "reference_answer": json.dumps(reference),
        "tools": json.dumps(tools) if template.needs_tools else None,
    }
    schema = {**dict.fromkeys(row, pl.String), "request_metadata": pl.Null}
    (text,) = render(pl.DataFrame([{**row, "request_metadata": None}], schema=schema), [])
    line: Json = json.loads(text)
    assert template.accepts(line)
    return line


def grade_response(name: str, line: Json, response: Any, form: Any) -> Json:
    """Score and metrics of one response by the template's grader."""
    event = json.loads(json.dumps(as_event([Sample(line, response)], form)))
    answer = MODULES[GRADED[name]].lambda_handler(event, None)
    (outcome,) = read_scores(answer, ["a"])
    assert outcome.problem is None
    return {"score": outcome.score, **outcome.metrics}


def test_every_template_with_a_grader_has_labels_here() -> None:
    assert set(LABELS) == set(GRADED)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LABELS)
def test_a_right_response_scores_1_and_a_wrong_one_0(name: str, form: Any) -> None:
    @given(label=LABELS[name]())
    def grade(label: Labelled) -> None:
        line = make_line(name, label.fields)
        assert grade_response(name, line, label.right, form)["score"] == 1.0
        assert grade_response(name, line, label.wrong, form)["score"] == 0.0

    grade()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("math", {"final_answer": "many"}),
        ("math", {"final_answer": "9" * 51}),
        ("math-openweight", "many"),
        ("math-openweight", {"solution": "#### 72"}),
        ("qa", {"answer": " "}),
        ("qa", {"answer": "..."}),
        ("tool", {"tool_called": "weather", "tool_parameters": [1]}),
        ("tool", {"tool_called": 7, "tool_parameters": {}}),
        ("format", {"constraints": {"colour": "red"}}),
        ("format", {"constraints": {"must_include": [1]}}),
        ("format", {"constraints": {"json": False}}),
        ("format", {"constraints": {"regex": "("}}),
        ("format", {"constraints": {"regex": "a" * 501}}),
    ],
)
def test_what_does_not_fit_is_told_as_malformed(name: str, reference: Any, form: Any) -> None:
    line = {"id": "a", "messages": [], "reference_answer": reference}
    assert not template_of(name).fits(reference)
    assert grade_response(name, line, "#### 72", form) == {"score": 0.0, "malformed": 1.0}


def test_constraints_are_those_of_the_grader() -> None:
    grader = MODULES["format_grader"]
    assert grader._KINDS == form_template.CONSTRAINTS
    assert grader.MAX_PATTERN_CHARS == form_template.MAX_PATTERN_CHARS


_CONSTRAINT = st.none() | st.booleans() | st.integers() | st.floats() | st.text("a(b)*+{9}[\\")


@given(
    constraints=st.dictionaries(
        st.sampled_from([*form_template.CONSTRAINTS, "novel"]),
        _CONSTRAINT | st.lists(_CONSTRAINT, max_size=2),
        max_size=3,
    ),
    text=st.text(),
)
def test_constraints_that_fit_are_never_malformed(constraints: Json, text: str) -> None:
    reference = {"constraints": constraints}
    if template_named("format").fits(reference):
        line = {"id": "a", "messages": [], "reference_answer": reference}
        assert "malformed" not in grade_response("format", line, text, "metadata")


# --- profiles

OTHERS: dict[str, Json] = {
    "code": {"code": "x", "test_cases": [{"input": 1, "expected_output": 2}]},
    "custom": {"verdict": "No"},
}


@pytest.mark.parametrize("name", NAMES)
def test_lines_pass_the_profiles_of_their_template(name: str) -> None:
    profiles = [profile_named(each) for each in template_of(name).profiles]
    assert profiles

    @given(label=LABELS[name]() if name in LABELS else st.just(Labelled(OTHERS[name], "", "")))
    def judge(label: Labelled) -> None:
        assert line_errors(make_line(name, label.fields), profiles) == []

    judge()


READ_ALL_THE_SAME: list[tuple[str, Any]] = [  # by the published grader, from lines of others
    ("math-openweight", "#### 1,234"),
    ("qa", {"answer": 72}),
    ("judge", {"answer": 72}),
    ("judge", {"answer": " "}),
]


@pytest.mark.parametrize("name", sorted({*LABELS, *OTHERS} - {"format", "custom"}))
@pytest.mark.parametrize(
    "reference",
    [
        None, 7, [], {}, "", "72", "so\n#### 72", "#### 1,234", {"final_answer": "72"},
        {"final_answer": 72}, {"answer": "72"}, {"answer": " "}, {"answer": 72}, {"text": "72"},
        {"tool_called": "a", "tool_parameters": {}}, {"tool_called": "a"},
        {"test_cases": [{"input": 1, "expected_output": 2}]}, {"test_cases": [{}]},
    ],
)  # fmt: skip
def test_what_fits_is_what_the_profile_takes(name: str, reference: Any) -> None:
    """Where they differ, the template is the stricter one: it writes, the profile reads."""
    tools = [{"type": "function", "function": {"name": "a"}}]
    line = {"messages": [{"role": "user", "content": "x"}], "tools": tools}
    is_broken = line_errors({**line, "reference_answer": reference}, [profile_named(name)])
    if template_of(name).fits(reference):
        assert is_broken == []
    else:
        assert bool(is_broken) is ((name, reference) not in READ_ALL_THE_SAME)
