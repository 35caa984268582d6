"""A nightly run as Prefect's artifact shows it: a table, and what to know about each recipe."""

from collections.abc import Sequence

from bedrock_sluice.flows.nights.rows import RecipeRow
from bedrock_sluice.flows.papers.markdown import cell, code, prose

_COLUMNS = ("recipe", "night", "verdict", "train", "validation", "release")


def tally(rows: Sequence[RecipeRow]) -> str:
    """Say how many recipes ended how, and name those that did not pass."""
    texts = []
    for verdict in ("passed", "rejected", "failed", "skipped"):
        names = [row.recipe for row in rows if row.verdict == verdict]
        if names:
            of = f" ({', '.join(names)})" if verdict != "passed" else ""
            texts.append(f"{len(names)} {verdict}{of}")
    return ", ".join(texts)


def nightly_page(rows: Sequence[RecipeRow]) -> str:
    """Return a table with a row per recipe, and a paragraph per recipe with more to say."""
    lines = [" | ".join(_COLUMNS), " | ".join("---" for _ in _COLUMNS), *map(_line, rows)]
    table = "\n".join(f"| {line} |" for line in lines)
    return "\n\n".join([table, *filter(None, map(_paragraph, rows))]) + "\n"


def _line(row: RecipeRow) -> str:
    counts = ["" if number is None else f"{number:,}" for number in (row.train, row.validation)]
    release = row.release.rstrip("/").rpartition("/")[2]
    return " | ".join([cell(row.recipe), row.night or "", row.verdict, *counts, release])


def _paragraph(row: RecipeRow) -> str:
    texts = row.why.splitlines()
    if row.verdict == "rejected":
        texts = [f"failed checks: {row.why}", f"last good release: {row.last_good or 'none'}"]
    if len(row.nights) > 1:
        nights = ", ".join(f"{night.night} {night.verdict}" for night in row.nights)
        texts.append(f"nights of this run: {nights}")
    if row.action:
        texts.append(f"policy: {row.action}")
    items = [f"- {prose(text)}" for text in texts]
    return "\n".join([f"**{row.verdict}** {code(row.recipe)}:", *items]) if items else ""
