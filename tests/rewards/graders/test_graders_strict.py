"""Where our graders differ from AWS's: the table of docs/rewards.md, row by row."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bedrock_sluice.rewards.running.events import FORMS, Sample, as_event
from bedrock_sluice.rewards.templates.base import template_named

PAGE = (Path(__file__).parents[3] / "docs" / "rewards.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `(\w+)` \| (.+) \| `(.+)` \| `(.+)` \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE
)


def reference_of(name: str, text: str) -> Any:
    if name == "tool":
        fields = {"tool_called": "add", "tool_parameters": json.loads(text)}
        return template_named("tool").from_fields(fields)
    return {"final_answer" if name == "math" else "answer": text}


def score(name: str, handler: str, reference: Any, text: str, form: Any = "metadata") -> float:
    module = import_module(f"bedrock_sluice.rewards.graders.{name}_grader")
    line = {"id": "a", "messages": [], "reference_answer": reference}
    (result,) = getattr(module, handler)(as_event([Sample(line, text)], form), None)
    return float(result["aggregate_reward_score"])


def test_the_table_has_rows_of_every_grader_with_a_strict_mode() -> None:
    assert {name for name, *_ in ROWS} == {"math", "qa", "tool"}


@pytest.mark.parametrize(
    ("name", "reference_text", "response_text", "ours", "strict"),
    [(name, *rest) for name, _, *rest in ROWS],
    ids=[f"{name}: {case}" for name, case, *_ in ROWS],
)
def test_a_row_says_what_both_handlers_give(
    name: str, reference_text: str, response_text: str, ours: str, strict: str
) -> None:
    reference, text = reference_of(name, reference_text), response_text.replace("\\n", "\n")
    assert score(name, "lambda_handler", reference, text) == float(ours)
    assert score(name, "strict_handler", reference, text) == float(strict)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("name", "reference", "right"),
    [
        ("math", {"final_answer": "1234"}, "so\n#### 1,234"),
        ("math", "so\n#### 1,234", "#### 1234"),
        ("qa", {"answer": "$25"}, "ANSWER: [25]"),
        ("tool", {"ground_truth": "m.add(3, b=[1])"}, "m.add(3, b=['1'])"),
        ("tool", {"ground_truth": ["a()", "b(x=1)"]}, "[a(),\nb(\nx=1)]"),
    ],
)
def test_strict_takes_every_form_of_event(name: str, reference: Any, right: str, form: Any) -> None:
    assert score(name, "strict_handler", reference, right, form) == 1.0
    assert score(name, "strict_handler", reference, "what?", form) == 0.0


def test_strict_math_reads_300_characters() -> None:
    reach = "#### 72" + "\n" * 293
    reference = {"final_answer": "72"}
    assert score("math", "strict_handler", reference, reach) == 1.0
    assert score("math", "strict_handler", reference, reach + "\n") == 0.0


@pytest.mark.parametrize("name", ["math", "qa", "tool"])
@pytest.mark.parametrize("reference", [None, 7, [], {}, {"ground_truth": ["f("]}, "none"])
def test_strict_scores_0_where_there_is_nothing_to_compare(name: str, reference: Any) -> None:
    assert score(name, "strict_handler", reference, "f(1)") == 0.0
