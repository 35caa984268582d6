"""`sluice gc`: what no recipe needs, and old releases, deleted from a lake."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bedrock_sluice.cli.options import AsJson, epilog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from bedrock_sluice.flows.garbage import Garbage, Survey
    from bedrock_sluice.flows.old_releases import ReleaseSurvey
    from bedrock_sluice.lake.stores.store import Entry

EPILOG = epilog("sluice gc recipes/", "sluice gc recipes/ --keep-releases 30 --delete")

MIN_AGE_DAYS = 7.0  # longer than a weekend, in which a nightly may find nothing to derive
MAX_DAYS = 36_500.0

EXPLANATIONS = {
    "other_fingerprint": "other version or settings",
    "no_landed_part": "landed part is gone",
    "replaced": "damaged, and replaced",
    "outdated_day": "compacted before parts of its day came",
    "earlier_release": "marks beside an earlier release",
    "interrupted": "interrupted write",
}
"""By the cause of garbage."""

GROUNDS = {
    "newest": "newest",
    "young": "younger than --older-than",
    "approved": "approved once",
    "job": "given to a job",
    "last_passed": "last that the gate passed",
    "last_of_split": "last of its split",
    "unreadable": "unreadable",
}
"""By why a release stays."""


def gc(
    recipes: Annotated[
        list[Path],
        typer.Argument(metavar="RECIPE…", help="All recipes of one lake, or folders of recipes."),
    ],
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
    older_than: Annotated[
        float,
        typer.Option(metavar="DAYS", min=0, max=MAX_DAYS, help="Leave files younger than this."),
    ] = MIN_AGE_DAYS,
    keep_releases: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Also remove releases but the newest N of each recipe, those that were approved, "
            "and those that a job was given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the files of a lake that none of its recipes needs; with --delete, delete them.

    These are derived parts, which a build can compute again, and what interrupted writes left; with
    --keep-releases, also old releases that nobody approved. What later builds need of them stays.
    Name all recipes of the lake: what the others need is garbage here. Run it where the builds
    run, since another version of Sluice or of a library needs other derived parts.
    """
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.garbage import find_garbage, load_recipes, open_common_lake
    from bedrock_sluice.flows.old_releases import find_old_releases, remove_releases

    by_path = load_recipes(recipes)
    lake = open_common_lake(by_path)
    limit = datetime.now(UTC) - timedelta(days=older_than)
    survey = find_garbage(lake, by_path.values(), limit)
    entries = [entry for each in survey.garbage if not each.is_young for entry in each.entries]
    releases = None
    if keep_releases:
        names = {recipe.name for recipe in by_path.values()}
        releases = find_old_releases(lake, names, keep_releases, limit)
    if delete:
        lake.delete(entries)
        remove_releases(lake, releases.old if releases else ())
    if as_json:
        totals = {"lake": lake.uri, "deleted": delete, **_size(entries)}
        garbage = [_facts(each) for each in survey.garbage]
        facts = {**totals, "in_use": _size(survey.in_use), "garbage": garbage}
        print_json(facts | (_release_facts(releases) if releases else {}))
    else:
        _show(survey, entries, delete=delete, days=older_than)
        if releases:
            _show_releases(releases, delete=delete)


def _size(entries: "Sequence[Entry]") -> dict[str, int]:
    return {"files": len(entries), "bytes": sum(entry.size for entry in entries)}


def _facts(garbage: "Garbage") -> dict[str, Any]:
    return {
        "cause": garbage.cause,
        "fingerprint": garbage.fingerprint,
        "young": garbage.is_young,
        "newest": garbage.newest,
        **_size(garbage.entries),
    }


def _release_facts(survey: "ReleaseSurvey") -> dict[str, Any]:
    old = [{"release": f"{e.name}/{e.id}", **_size(e.entries)} for e in survey.old]
    return {"releases": old, "kept_releases": survey.grounds}


def _show_releases(survey: "ReleaseSurvey", *, delete: bool) -> None:
    from collections import Counter

    from bedrock_sluice.cli.console import people

    verb = "removed" if delete else "can be removed"
    for each in survey.old:
        people.print(f"{verb}: release {each.name}/{each.id}, {_in_words(each.entries)}")
    counts = Counter(str(ground) for ground in survey.grounds.values())
    reasons = [f"{counts[ground]:,} {text}" for ground, text in GROUNDS.items() if counts[ground]]
    people.print(f"releases that stay: {', '.join(reasons) or 'none'}")
    if not survey.old:
        people.print("no release to remove")
    elif not delete:
        entries = [entry for each in survey.old for entry in each.entries]
        releases = "release" if len(survey.old) == 1 else "releases"
        people.print(
            f"{len(survey.old):,} {releases} with {_in_words(entries)} can be removed: run again "
            "with --delete"
        )


def _show(survey: "Survey", entries: "Sequence[Entry]", *, delete: bool, days: float) -> None:
    from bedrock_sluice.cli.console import people

    people.print(f"these recipes use {_in_words(survey.in_use)} of derived parts")
    if survey.garbage:
        if not survey.in_use:
            people.print("if the builds run on another machine, run `sluice gc` there")
        people.print(_table(survey.garbage, days))
    if not entries:
        people.print("nothing to delete")
    elif delete:
        people.print(f"deleted {_in_words(entries)}")
    else:
        people.print(f"{_in_words(entries)} can be deleted: run again with --delete")


def _table(garbage: "Sequence[Garbage]", days: float) -> "Table":
    from rich.table import Table

    table = Table(title="files that none of these recipes needs", title_justify="left")
    for heading in ("files", "MB"):
        table.add_column(heading, justify="right")
    for heading in ("newest (UTC)", "fingerprint", "why"):
        table.add_column(heading)
    for each in garbage:
        why = EXPLANATIONS[each.cause]
        table.add_row(
            f"{len(each.entries):,}",
            f"{each.size_bytes / 1e6:,.1f}",
            f"{each.newest:%Y-%m-%d %H:%M}",
            each.fingerprint,
            f"{why}; left, younger than {days:g} days" if each.is_young else why,
        )
    return table


def _in_words(entries: "Sequence[Entry]") -> str:
    files = "file" if len(entries) == 1 else "files"
    return f"{len(entries):,} {files} ({sum(entry.size for entry in entries) / 1e6:,.1f} MB)"
