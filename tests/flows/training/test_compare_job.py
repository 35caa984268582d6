"""`sluice compare --job`: base, tuned model and checkpoints of a job, found and called."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.protocols import RunSluice
from support.rft.state import ControlPlane
from support.training import LOCAL_GRADER, LOCAL_RECIPE, MakeRelease

from bedrock_sluice.lake.releases.release import Release

LINES = 60


@pytest.fixture
def grader_recipe(tmp_path: Path) -> Path:
    """The recipe of the releases, with a grader in a file beside it."""
    (tmp_path / "grader.py").write_text(LOCAL_GRADER)
    path = tmp_path / "math.toml"
    path.write_text(LOCAL_RECIPE)
    return path


def answer_by_step(control_plane: ControlPlane) -> None:
    """The tuned model is right, one checkpoint too, the other and the base every other time."""

    def answer(model: str, question: str) -> str:
        number = int(re.findall(r"\d+", question)[0])
        is_right = (model.startswith("ft:") and not model.endswith(":step-10")) or number % 2 == 0
        return f"#### {2 * number}" if is_right else "#### -1"

    control_plane.answer = answer


def train(sluice: RunSluice, control_plane: ControlPlane, release: Release) -> str:
    """Train on a release; the name of the job, which has completed."""
    assert sluice("train", release.uri).code == 0
    control_plane.end()
    lake = release.lake.uri
    (job,) = json.loads(sluice("jobs", "sync", lake, "--json").out)["jobs"]
    return str(job["job"])


def test_every_checkpoint_of_an_open_weight_job_is_found_and_called(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    grader_recipe: Path,
    tmp_path: Path,
) -> None:
    release = training_release("open_weight", validation_lines=LINES)
    control_plane.checkpoints = [100, 10]
    answer_by_step(control_plane)
    options = ("--recipe", grader_recipe, "--answers", tmp_path / "answers", "--json")
    early = sluice("compare", release.uri, "--job", "math-0", *options)
    assert (early.code, "has no job math-0" in early.err) == (2, True)
    job = train(sluice, control_plane, release)
    control_plane.fail_next("ChatCompletions", "rate_limit", 429)
    result = sluice("compare", release.uri, "--job", job, *options)
    assert result.code == 0, result.err
    report: dict[str, Any] = json.loads(result.out)
    assert [each["name"] for each in report["models"]] == ["base", "tuned", "step-10", "step-100"]
    assert {each["model"]: each["verdict"] for each in report["comparisons"]} == {
        "tuned": "promote",
        "step-10": "keep",
        "step-100": "promote",
    }
    models = {c.body["model"] for c in control_plane.calls if c.operation == "ChatCompletions"}
    tuned_model = control_plane.jobs[0].model
    assert models == {
        "openai.gpt-oss-20b",
        tuned_model,
        f"{tuned_model}:step-10",
        f"{tuned_model}:step-100",
    }
    calls = control_plane.count("ChatCompletions")
    assert calls == 4 * LINES + 1
    assert sluice("compare", release.uri, "--job", job, *options).out == result.out
    assert control_plane.count("ChatCompletions") == calls  # nothing is paid twice


def test_of_a_bedrock_job_base_and_deployment_are_compared_and_the_command_says_what_is_missing(
    training_release: MakeRelease,
    control_plane: ControlPlane,
    sluice: RunSluice,
    grader_recipe: Path,
    tmp_path: Path,
) -> None:
    release = training_release(validation_lines=LINES)
    control_plane.answer = lambda model, question: (
        f"#### {2 * int(question.split()[2])}" if "deployment" in model else "#### -1000"
    )
    options = ("--recipe", grader_recipe, "--answers", tmp_path / "answers", "--json")
    job = train(sluice, control_plane, release)
    early = sluice("compare", release.uri, "--job", job, *options)
    assert (early.code, "is not deployed; run `sluice deploy`" in early.err) == (2, True)
    assert sluice("deploy", release.uri, "--no-smoke").code == 0
    result = sluice("compare", release.uri, "--job", job, *options)
    assert "offers no checkpoints of this job to call" in result.err
    assert [each["verdict"] for each in json.loads(result.out)["comparisons"]] == ["promote"]
    models = {c.body["modelId"] for c in control_plane.calls if c.operation == "Converse"}
    assert "amazon.nova-2-lite-v1:0" in models
