"""What the commands do: open the recipe, run the pipeline, show the outcome."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import to_builtins
from msgspec.json import encode as to_json

from bedrock_sluice.cli.console import (
    ProgressRunner,
    people,
    print_json,
    print_result,
    show_release,
)
from bedrock_sluice.cli.grader_export import export_grader
from bedrock_sluice.demo.logs import write_demo
from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build, prepare
from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.flows.stages.grade import grader_section, try_grader
from bedrock_sluice.flows.stages.pull import pull
from bedrock_sluice.flows.summary import summary
from bedrock_sluice.flows.training.approval import approve, find_approvals, job_recipe
from bedrock_sluice.flows.training.job import Job, settle, train_on
from bedrock_sluice.flows.training.job import prepare as prepare_job
from bedrock_sluice.flows.training.request import train_section
from bedrock_sluice.flows.training.spending import check_lengths, estimate_release
from bedrock_sluice.lake.releases.releases import Release, open_release
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.rewards.estimate import facts as estimate_facts
from bedrock_sluice.rewards.estimate import summary_lines as estimate_lines
from bedrock_sluice.rewards.readiness import Readiness
from bedrock_sluice.rewards.readiness_report import facts as readiness_facts
from bedrock_sluice.rewards.readiness_report import summary_lines as readiness_lines

EXIT_REJECTED = 1


def run_build(path: Path, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """`sluice build`."""
    with open_context(path, since, until) as context, ProgressRunner() as run_stage:
        release = build(context, run_stage)
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


def run_demo(records: int, out: Path, as_json: bool) -> None:
    """`sluice demo`."""
    people.print(f"writing {records:,} made-up records to ", end="")
    people.print(str(out.absolute()), markup=False)
    recipe = write_demo(out, records)
    with open_context(recipe) as context, ProgressRunner() as run_stage:
        release = build(context, run_stage)
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
    with open_context(path) as context, ProgressRunner() as run_stage:
        grader_section(context)
        made = prepare(context, run_stage)
        tried = run_stage(
            "grade",
            lambda report_progress: try_grader(
                context, made.lines, made.candidate_responses, report_progress
            ),
        )
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
    for line in estimate_lines(estimated):
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
    with open_context(path, since, until) as context, ProgressRunner() as run_stage:
        number = run_stage(
            "pull",
            lambda report_progress: pull(
                context.source, context.lake, context.recipe.window, report_progress
            ),
        )
    if as_json:
        print_json({"objects": number, "lake": context.lake.uri})
    else:
        people.print(f"landed {number:,} log objects in ", end="")
        people.print(context.lake.uri, markup=False)


def show_readiness(readiness: Readiness, *, as_json: bool) -> None:
    """Print the judgement: for people on stderr, or as facts on stdout."""
    if as_json:
        print_json(readiness_facts(readiness, with_slices=True))
        return
    for line in readiness_lines(readiness):
        people.print(line, markup=False)
