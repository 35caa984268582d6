"""What the commands do: open the recipe, run the pipeline, show the outcome."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import to_builtins
from msgspec.json import encode as to_json

from bedrock_sluice.flows.approval import approve, find_approvals, job_recipe
from bedrock_sluice.flows.console import (
    ProgressStep,
    failed_checks,
    people,
    print_json,
    print_result,
    show_release,
)
from bedrock_sluice.flows.demo_logs import write_demo
from bedrock_sluice.flows.grade import show_readiness
from bedrock_sluice.flows.grader_export import export_grader
from bedrock_sluice.flows.job import Job, settle, train_on
from bedrock_sluice.flows.job import prepare as prepare_job
from bedrock_sluice.flows.job_request import train_section
from bedrock_sluice.flows.pipeline import build, prepare
from bedrock_sluice.flows.plan import Plan, open_plan
from bedrock_sluice.flows.pull import pull
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.flows.spending import check_lengths, estimate_release
from bedrock_sluice.flows.trial import grader_section, try_grader
from bedrock_sluice.lake.releases import Release, open_release
from bedrock_sluice.lake.store import open_store
from bedrock_sluice.rewards.estimate import facts as estimate_facts
from bedrock_sluice.rewards.estimate import told
from bedrock_sluice.transforms.errors import ConfigError

EXIT_REJECTED = 1


@contextmanager
def opened(
    path: Path, since: datetime | None = None, until: datetime | None = None
) -> Iterator[Plan]:
    """The plan of a recipe, its window fixed now, with a work folder that goes in the end.

    Raises:
        ConfigError: the recipe is wrong; or Python runs in a way that the gate can't.
    """
    if sys.flags.optimize > 1:
        raise ConfigError(
            "Python runs without docstrings (-OO, PYTHONOPTIMIZE=2), and Great Expectations can't "
            "be imported like that; unset PYTHONOPTIMIZE"
        )
    recipe = load_recipe(path).at(datetime.now(UTC), since, until)
    with TemporaryDirectory(prefix="sluice-work-") as work:
        yield open_plan(path, recipe, Path(work))


def run_build(path: Path, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """`sluice build`."""
    with opened(path, since, until) as plan, ProgressStep() as step:
        release = build(plan, step)
    _show(release, as_json)


def _show(release: Release, as_json: bool, look_at: Iterable[str] = ()) -> None:
    if as_json:
        print_json(summary(release))
    else:
        show_release(release)
        for name in look_at:
            people.print(f"open {release.uri}/{name}", markup=False)
        print_result(release.uri)
    if not release.is_passed:
        raise SystemExit(EXIT_REJECTED)


def summary(release: Release) -> dict[str, Any]:
    """What `build --json` prints; `failed_checks` are those that made the gate say no.

    `checks` are all that did not pass, as they stand in `checks.json`.
    """
    checks = failed_checks(release)
    counts = ("records", "train", "validation", "dropped", "quarantined")
    return {
        "release": release.uri,
        "id": release.id,
        "verdict": release.manifest["verdict"],
        "counts": {name: release.manifest["counts"][name] for name in counts},
        "answers_by_source": release.manifest["answers_by_source"],
        "answer_sources": release.manifest["answer_sources"],
        "failed_checks": [check.name for check in checks if check.result == "failed"],
        "checks": [to_builtins(check) for check in checks],
    }


def run_demo(records: int, out: Path, as_json: bool) -> None:
    """`sluice demo`."""
    people.print(f"writing {records:,} made-up records to ", end="")
    people.print(str(out.absolute()), markup=False)
    recipe = write_demo(out, records)
    with opened(recipe) as plan, ProgressStep() as step:
        release = build(plan, step)
    _show(release, as_json, look_at=("report.html", "train.jsonl", "fates.parquet"))


def run_approve(uri: str, by: str, as_json: bool) -> None:
    """`sluice approve`."""
    release = open_release(uri)
    approval = approve(release, by, datetime.now(UTC))
    if as_json:
        print_json(to_builtins(approval))
        return
    for each in find_approvals(release):
        people.print(f"approved by {each.by}, {each.at.isoformat()}", markup=False)


def run_train(uri: str, recipe: Path | None, dry_run: bool, as_json: bool) -> None:
    """`sluice train`."""
    job = prepare_job(open_release(uri), load_recipe(recipe) if recipe else None)
    if dry_run:
        print_json(job.request())
        return
    _show_job(job, "the recipe of the build" if recipe is None else str(recipe))
    arn = train_on(job)
    if as_json:
        print_json({"job": arn})
    else:
        people.print("started: ", end="")
        print_result(arn)


def _show_job(job: Job, source: str) -> None:
    """The settings that the job is about to be started with, and where they come from."""
    request, train = job.request(), train_section(job.recipe)
    rft = request["customizationConfig"]["rftConfig"]
    people.print(f"job {request['jobName']}, with the settings of {source}", markup=False)
    settings = {
        "model": train.model,
        "hyperparameters": to_json(rft.get("hyperParameters", {})).decode(),
        "grader": rft["graderConfig"]["lambdaGrader"]["lambdaArn"],
        "role": train.role_arn,
        "lines": job.data_uri,
        "length": check_lengths(job.release, train),
        "output": train.output_uri,
        "budget": f"{train.budget:g}" if train.budget else "none",
    }
    for name, value in settings.items():
        people.print(f"  {name:<16} {value}", markup=False)


def run_status(path: Path, never_started: Sequence[str], as_json: bool) -> None:
    """`sluice status`."""
    recipe = load_recipe(path)
    lake = open_store(recipe.lake, path.absolute().parent)
    settled = settle(lake, recipe.lineage, never_started=never_started)
    if as_json:
        print_json([each._asdict() for each in settled])
        return
    if not settled:
        people.print(f"no job of {recipe.lineage} was asked for yet")
    for each in settled:
        told = f"{each.release}  job {each.job or '-'}: {each.status}; its prompts are {each.state}"
        people.print(told, markup=False)


def run_grade(path: Path, as_json: bool) -> None:
    """`sluice grade`."""
    with opened(path) as plan, ProgressStep() as step:
        grader_section(plan)
        made = prepare(plan, step)
        tried = step("grade", lambda tick: try_grader(plan, made.lines, made.voters, tick))
    show_readiness(tried.readiness, as_json=as_json)
    if not tried.readiness.is_ready:
        raise SystemExit(EXIT_REJECTED)


def run_estimate(uri: str, recipe: Path | None, as_json: bool) -> None:
    """`sluice estimate`."""
    release = open_release(uri)
    current = load_recipe(recipe) if recipe else None
    estimated = estimate_release(release, job_recipe(release, current))
    if as_json:
        print_json(estimate_facts(estimated))
        return
    for line in told(estimated):
        people.print(line, markup=False)


def run_export(name: str, out: Path, model: str | None) -> None:
    """`sluice grader export`."""
    exported = export_grader(name, out, model=model)
    if model:
        told = f"set JUDGE_MODEL_ID={model}, and JUDGE_RUBRIC to what a good response is"
        people.print(told, markup=False)
    people.print(f"handler {exported.handler}; policy of its role: ", end="")
    people.print(str(exported.policy), markup=False)
    print_result(str(exported.archive))


def run_pull(path: Path, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """`sluice pull`."""
    with opened(path, since, until) as plan, ProgressStep() as step:
        number = step("pull", lambda tick: pull(plan.source, plan.lake, plan.recipe.window, tick))
    if as_json:
        print_json({"objects": number, "lake": plan.lake.uri})
    else:
        people.print(f"landed {number:,} log objects in ", end="")
        people.print(plan.lake.uri, markup=False)
