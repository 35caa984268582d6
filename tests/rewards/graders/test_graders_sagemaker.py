"""Our graders as SageMaker calls them for open-weight models: rows of verl, and an envelope."""

import json
from importlib.resources import files
from runpy import run_path
from typing import Any

import pytest

from bedrock_sluice.rewards import graders

USER = {"role": "user", "content": "a question"}
WEATHER = {"tool_called": "weather", "tool_parameters": {"city": "Bern"}}
CASES: dict[str, tuple[dict[str, Any], str, str]] = {  # reference, right, wrong
    "math": ({"final_answer": "72"}, "So\n#### 72", "#### 73"),
    "qa": ({"answer": "25"}, "ANSWER: 25", "ANSWER: 26"),
    "text": ({"answer": "Hello, world"}, "hello world", "goodbye"),
    "format": ({"constraints": {"json": True}}, "[1]", "a: 1"),
    "tool": (
        WEATHER,
        '{"name": "weather", "arguments": {"city": "Bern"}}',
        '{"name": "weather", "arguments": {"city": "Rome"}}',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rows_of_verl_are_graded_and_answered_in_the_envelope_of_sagemaker(name: str) -> None:
    reference, right, wrong = CASES[name]
    module = run_path(str(files(graders) / f"{name}_grader.py"))
    truth = {"ground_truth": json.dumps(reference), "style": "rule"}
    samples = [
        {
            "id": text,
            "messages": [USER, {"role": "assistant", "content": text}],
            "reward_model": truth,
        }
        for text in (right, wrong)
    ]
    answer = module["sagemaker_handler"]({"batch": samples}, None)
    assert (answer["statusCode"], type(answer["body"])) == (200, str)
    scores = json.loads(answer["body"])
    assert scores == module["lambda_handler"](samples, None)
    assert [(each["id"], each["aggregate_reward_score"]) for each in scores] == [
        (right, 1.0),
        (wrong, 0.0),
    ]
