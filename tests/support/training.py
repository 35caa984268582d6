"""Approved releases over lines that a job takes, and recipes for each target."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases.release import Release
from support.releases import approve, publish_files
from support.rft.state import ACCOUNT, NOVA

Json = dict[str, Any]

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
LAMBDA = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:grade"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/rft"
HUB_MODEL = "arn:aws:sagemaker:us-west-2:aws:hub-content/SageMakerPublicHub/Model/qwen3-32b"
EVALUATOR = f"arn:aws:sagemaker:us-west-2:{ACCOUNT}:hub-content/acme/JsonDoc/grade/1.0.0"
TRAIN: dict[str, Json] = {
    "nova": {"model": NOVA, "role_arn": ROLE, "output_uri": "s3://acme-models/out/"},
    "open_weight": {"model": "openai.gpt-oss-20b", "region": "us-west-2"},
    "sagemaker": {
        "model": HUB_MODEL,
        "region": "us-west-2",
        "role_arn": ROLE,
        "output_uri": "s3://acme-models/out/",
        "evaluator_arn": EVALUATOR,
        "accept_eula": True,
    },
}

LOCAL_GRADER = """
def lambda_handler(event, context):
    return [
        {
            "id": sample["id"],
            "aggregate_reward_score": float(
                "#### " + sample["metadata"]["reference_answer"]["final_answer"]
                == sample["messages"][-1]["content"]
            ),
        }
        for sample in event
    ]
"""
LOCAL_RECIPE = """\
name = "math"
lake = "lake"
[source]
uri = "logs"
[template]
name = "math"
[grader]
python = "grader.py:lambda_handler"
"""

MakeRelease = Callable[..., Release]


@pytest.fixture
def training_release(tmp_path: Path, bucket: str, control_plane: Any) -> MakeRelease:
    """Make a release for a target; `train` changes its section, `lines` how many there are."""

    def make(
        target: str = "nova",
        *,
        lines: int = 150,
        validation_lines: int = 10,
        approved_by: str | None = "Dana",
        grader: Json | None = None,
        **train: object,
    ) -> Release:
        section = TRAIN[target] | {"data_uri": f"s3://{bucket}/lines"} | train
        if target == "open_weight":
            section |= {"base_url": f"{control_plane.url}/v1"}
        values = {
            "name": "math",
            "lake": str(tmp_path / "lake"),
            "source": {"uri": "logs"},
            "template": {"name": "math"},
            "train": {key: value for key, value in section.items() if value is not None},
            "grader": grader or {"lambda_arn": LAMBDA},
        }
        recipe = Recipe.model_validate(values)
        release = publish_lines(tmp_path, recipe, lines, validation_lines)
        if approved_by:
            approve(release, approved_by, NOON)
        return release

    return make


def publish_lines(folder: Path, recipe: Recipe, lines: int, validation_lines: int = 10) -> Release:
    """A release of so many lines to train on, and to validate on."""
    ids = [f"r-{number:05d}" for number in range(lines + validation_lines)]
    rows = [math_line(number, name) for number, name in enumerate(ids)]
    files = {n: folder / n for n in ("train.jsonl", "validation.jsonl", "provenance.parquet")}
    files["train.jsonl"].write_text("".join(f"{row}\n" for row in rows[:lines]))
    files["validation.jsonl"].write_text("".join(f"{row}\n" for row in rows[lines:]))
    sides = ["train"] * lines + ["validation"] * validation_lines
    frame = {"request_id": ids, "split": sides, "prompt_digest": [f"p-{name}" for name in ids]}
    pl.DataFrame(frame).write_parquet(files["provenance.parquet"])
    return publish_files(recipe, files)


def math_line(number: int, name: str) -> str:
    """One line of the template `math`."""
    line = {
        "id": name,
        "messages": [{"role": "user", "content": f"What is {number} + {number}? Über alles."}],
        "reference_answer": {"final_answer": str(2 * number)},
        "domain": "sums",
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
