"""Figures of the line reviews of a release."""

from collections.abc import Iterable

import polars as pl

from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.lake.reviews import read_reviews
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.review.figures import ReviewFigures, summarize_reviews
from bedrock_sluice.transforms.review.review_files import SheetOptions
from bedrock_sluice.transforms.review.selection import draw_sample
from bedrock_sluice.transforms.review.verdicts import tabulate_verdicts


def review_figures(lake: Store, release: Release) -> ReviewFigures | None:
    """Return the figures of the reviews of a release; None if nobody has reviewed it.

    Raises:
        IntegrityError: a review was changed after it was written.
    """
    reviews = read_reviews(lake, release.name, release.id)
    if not reviews:
        return None
    records = [review.record for review in reviews]
    ids = pl.read_parquet(release.file("provenance.parquet"), columns=["id"], glob=False)["id"]
    drawn_ids = _drawn_ids(ids, [record.sheet for record in records])
    return summarize_reviews(release.id, tabulate_verdicts(reviews), len(drawn_ids))


def _drawn_ids(ids: pl.Series, sheets: Iterable[SheetOptions]) -> set[str]:
    """Return the ids that the random samples of sheets have together."""
    return {each for sheet in set(sheets) for each in draw_sample(ids, sheet.sample, sheet.seed)}
