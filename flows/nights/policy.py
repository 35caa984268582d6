"""What follows a nightly build, by the policy of its recipe: a message, an approval, a job."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from bedrock_sluice.flows.decisions.decisions import decide
from bedrock_sluice.flows.decisions.requirements import is_approved
from bedrock_sluice.flows.nights.nights import read_releases
from bedrock_sluice.flows.nights.notice import notify_once
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.summary import failed_checks
from bedrock_sluice.flows.training.job import prepare, settle, train_on
from bedrock_sluice.flows.training.spending import estimate_release
from bedrock_sluice.lake.releases.registry import find_use
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.curate.trained_before import REGISTERED, RELEASED
from bedrock_sluice.transforms.errors import RefusedError

POLICY_NAME = "sluice nightly (train_automatically)"  # who approves


class PolicyResult(NamedTuple):
    """What a policy did, in words, and the job that it started."""

    action: str = ""
    job: str | None = None


class Spending(msgspec.Struct, frozen=True):
    """A job that a policy started: its release, and the high end of its estimate."""

    release: str
    cost: float


def follow_policy(recipe: Recipe, base: Path, release: Release, now: datetime) -> PolicyResult:
    """Do what the recipe asks for after a build; doing it again changes nothing.

    Raises:
        SluiceError: the job cannot be started, or may cost more than a budget.
    """
    match recipe.nightly.policy:
        case "ask":
            return _ask(recipe, release, [])
        case "train_when_approved":
            releases = read_releases(release.lake, recipe.name)
            newest = next((r for r in releases if is_approved(r, recipe.approval)), None)
            return _train(recipe, base, newest, now) if newest else _ask(recipe, release, [])
        case "train_automatically":
            if doubts := find_doubts(release):
                return _ask(recipe, release, doubts)
            decide(release, "approved", by=POLICY_NAME, at=now)
            if not is_approved(release, recipe.approval):
                return _ask(recipe, release, ["[approval] asks for more than a policy can give"])
            return _train(recipe, base, release, now)
        case _:
            return PolicyResult()


def find_doubts(release: Release) -> list[str]:
    """Return what speaks against training without a person: checks, or no measure of drift.

    The checks of drift compare with the release that was approved last, as in the report.

    Raises:
        IntegrityError: a file of the release was changed.
    """
    doubts = [f"{check.result}: {check.name}" for check in failed_checks(release)]
    if release.manifest.drift_baseline is None:
        doubts.append("no approved release to measure drift from")
    return doubts


def _ask(recipe: Recipe, release: Release, doubts: list[str]) -> PolicyResult:
    if release.is_passed and is_approved(release, recipe.approval):
        return PolicyResult("approved already")
    address = recipe.nightly.notify
    is_sent = notify_once(address, release, doubts) if address else False
    need = "waits for approval" if release.is_passed else "was rejected"
    notice = "notice sent" if is_sent else "notice not sent" if address else "no notify address"
    return PolicyResult("; ".join([f"{release.id} {need}", *doubts, notice]))


def _train(recipe: Recipe, base: Path, release: Release, now: datetime) -> PolicyResult:
    """Start the job of an approved release, unless there is one, or it came to nothing."""
    settle(release.lake, recipe.lineage)
    use = find_use(release, recipe.lineage)
    if use and use.state == REGISTERED:
        return PolicyResult(f"{release.id} was trained on already")
    if use and use.state == RELEASED and use.failed_jobs():
        return PolicyResult(f"the job of {release.id} failed; to try again, run sluice train")
    start = use.job_start(use.last_number) if use else None
    if start:
        return PolicyResult(f"the job of {release.id} was started before", start.job_arn)
    job = prepare(release, recipe, base)
    _book_spending(recipe, release, now)
    return PolicyResult(f"started the job of {release.id}", train_on(job, clock=lambda: now))


def _book_spending(recipe: Recipe, release: Release, now: datetime) -> None:
    """See that this month's jobs of the lineage stay within the budget, and book this one.

    Jobs that a policy of this lake started count, by the high end of their estimate, whether they
    completed or not; those that people start do not.

    Raises:
        RefusedError: They do not.
    """
    budget = recipe.nightly.monthly_budget
    if budget is None:
        return
    cost = estimate_release(release, recipe).cost
    assert cost is not None  # the recipe has prices, or it would be wrong
    folder = f"spending/{recipe.lineage}/{now:%Y-%m}/"
    own_key = f"{folder}{release.manifest.digest}.json"
    lake = release.lake
    others = [
        msgspec.json.decode(lake.read(entry), type=Spending).cost
        for entry in lake.entries(folder)
        if entry.key != own_key
    ]
    if not sum(others) + cost.high <= budget:
        raise RefusedError(
            f"the job of {release.id} may cost {cost.high:g}, and {len(others):,} jobs of this "
            f"month {sum(others):g}: more than monthly_budget = {budget:g} in [nightly]. Raise it, "
            "or start the job with sluice train"
        )
    content = msgspec.json.encode(Spending(f"{release.name}/{release.id}", cost.high))
    lake.put_new(own_key, content)
