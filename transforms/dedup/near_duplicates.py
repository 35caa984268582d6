"""Near duplicates: candidates, verified by the real Jaccard similarity, and who survives of them.

Nothing here depends on the order of the rows: they are gone through by rank, the better first.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bedrock_sluice.transforms.components import label_components
from bedrock_sluice.transforms.dedup.boilerplate import (
    Fetch,
    OwnWords,
    Rows,
    as_text,
    count_common,
    own_words,
    pairs_by_own_words,
)
from bedrock_sluice.transforms.dedup.candidate_pairs import Pairs, candidate_pairs
from bedrock_sluice.transforms.dedup.shingles import (
    CHUNK_TEXTS,
    Shingles,
    incidence,
    join_shingles,
    shared_counts,
    shingle,
)

VERIFIED_AT_ONCE = 262_144  # pairs
MIN_CROWD = 8  # texts that look alike, from which on the words that they share may be boilerplate
MIN_LARGE_CROWD = 32  # from which on they surely are
SHARED_BY = 0.5  # of a crowd: what more of its texts have is boilerplate
MAX_TEMPLATE_DEPTH = 3  # templates inside of templates that are looked into
MAX_SHINGLES = 8_000_000  # that verification holds at once, unless one pair has more
NO_LABEL = -1

SURVIVORS = pl.Schema({"row": pl.UInt32, "survivor": pl.UInt32, "similarity": pl.Float64})


class Similar(NamedTuple):
    """Pairs of rows, and the similarity of each."""

    pairs: Pairs
    similarity: NDArray[np.float64]


def similar_pairs(
    sketches: NDArray[np.uint32],
    fetch: Fetch,
    rank: Rows,
    threshold: float,
    scope: NDArray[np.uint64] | None = None,
) -> Similar:
    """Pairs of rows that are as similar as the threshold or more, with their Jaccard similarity.

    `fetch` gives the texts of ascending rows, in that order: at most `CHUNK_TEXTS` of them, and
    only those of candidates. Rows are compared only with rows of the same `scope`, where there is
    one; of a crowd, those of low `rank` are what the others are compared with. Texts without words
    are near nothing. Texts of one template are compared by what each says of its own, see
    `boilerplate`; again, where a template has templates inside.
    """
    pairs = candidate_pairs(sketches, threshold, scope, np.argsort(rank, kind="stable"))
    similar = Similar(*verify(pairs, fetch, threshold))
    own_similar = _without_boilerplate(similar, fetch, len(rank), threshold, MIN_CROWD)
    if scope is None:
        return own_similar
    is_inside = scope[own_similar.pairs[:, 0]] == scope[own_similar.pairs[:, 1]]
    return Similar(own_similar.pairs[is_inside], own_similar.similarity[is_inside])


def pairs_to_keep_together(sketches: NDArray[np.uint32], fetch: Fetch, threshold: float) -> Pairs:
    """Pairs of rows that must be on one side of the split; see `similar_pairs`.

    Here only what very many texts share is boilerplate. Whether a smaller crowd asks one question
    in many ways, or many questions, can't be told for sure: then it is kept together.
    """
    pairs = candidate_pairs(sketches, threshold)
    similar = Similar(*verify(pairs, fetch, threshold))
    own_similar = _without_boilerplate(similar, fetch, len(sketches), threshold, MIN_LARGE_CROWD)
    return own_similar.pairs


def _without_boilerplate(
    own_similar: Similar, fetch: Fetch, number: int, threshold: float, least: int
) -> Similar:
    """What is similar without what is common to many of the `number` texts, `least` or more."""
    pairs, similarity = own_similar
    # So many that `least` of them are not of one group of few.
    every = count_common(np.arange(number), fetch, 0, 2 * least) if len(pairs) else None
    for _ in range(MAX_TEMPLATE_DEPTH):
        groups = _groups(pairs)
        few = [group for group in groups if len(group) < least]
        templates = [(own_words(few, fetch, every), every)] if every else []
        for crowd in (group for group in groups if len(group) >= least):
            common = count_common(crowd, fetch, SHARED_BY)
            templates.append((own_words([crowd], fetch, common), common))
        own = {row: hashes for each, _ in templates for row, hashes in each.items()}
        if not own:
            break
        again = [pairs_by_own_words(each, common, threshold) for each, common in templates if each]
        label = np.full(number, -1)
        for n, group in enumerate(groups):
            label[group] = n
        is_settled = ~np.isin(pairs, list(own)).any(axis=1)
        anew, shares = (np.concatenate(each) for each in zip(*again, strict=True))
        is_inside = label[anew[:, 0]] == label[anew[:, 1]]
        pairs = np.concatenate([pairs[is_settled], anew[is_inside]])
        similarity = np.concatenate([similarity[is_settled], shares[is_inside]])
        fetch = _overlaid(fetch, own)
    return Similar(pairs, similarity)


def _groups(pairs: Pairs) -> list[Rows]:
    """The rows (ascending) of each connected component of the pairs."""
    rows, places = np.unique(pairs, return_inverse=True)
    labels = label_components(len(rows), *places.reshape(pairs.shape).T)
    order = np.argsort(labels, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(labels[order])) + 1) if len(rows) else []


def _overlaid(fetch: Fetch, own: OwnWords) -> Fetch:
    """A `fetch` that gives of these rows their own words alone."""

    def overlaid(rows: Rows) -> pl.Series:
        texts = zip(rows.tolist(), fetch(rows), strict=True)
        own_texts = [as_text(own[row]) if row in own else text for row, text in texts]
        return pl.Series(own_texts, dtype=pl.String)

    return overlaid


# --- Verification


def verify(pairs: Pairs, fetch: Fetch, threshold: float) -> tuple[Pairs, NDArray[np.float64]]:
    """Pairs whose texts are as similar as the threshold or more, and the Jaccard similarity.

    Texts are fetched and cut into shingles anew, those of related pairs together; for `fetch` see
    `similar_pairs`. Its calls go through the rows from first to last, then maybe again.
    """
    rows, places = np.unique(pairs, return_inverse=True)
    labels = label_components(len(rows), *places.reshape(pairs.shape).T)
    component = labels[places.reshape(-1, 2)[:, 0]]
    # Each component stands together, so that most texts are fetched and cut only once.
    pairs = pairs[np.lexsort((pairs.min(axis=1), pairs.max(axis=1), component))]
    bounds = [*range(0, len(pairs), VERIFIED_AT_ONCE), len(pairs)]
    parts = [_jaccard(pairs[start:end], fetch) for start, end in pairwise(bounds)]
    similarity = np.concatenate([np.zeros(0), *parts])
    is_similar = similarity >= threshold
    return pairs[is_similar], similarity[is_similar]


def _jaccard(pairs: Pairs, fetch: Fetch) -> NDArray[np.float64]:
    """The similarity of each pair, in halves where the texts are too long for one go."""
    rows, places = np.unique(pairs, return_inverse=True)
    shingles = _shingles_of(rows, fetch, MAX_SHINGLES if len(pairs) > 1 else None)
    if shingles is None:
        half = len(pairs) // 2
        return np.concatenate([_jaccard(pairs[:half], fetch), _jaccard(pairs[half:], fetch)])
    left, right = places.reshape(pairs.shape).T
    every = incidence(shingles)
    common = shared_counts(every, left, every, right)
    union = shingles.counts[left] + shingles.counts[right] - common
    similarity: NDArray[np.float64] = common / np.maximum(union, 1)
    return similarity


def _shingles_of(rows: Rows, fetch: Fetch, limit: int | None) -> Shingles | None:
    """Shingles of the texts of these rows; or none, when there are more than the limit."""
    parts: list[Shingles] = []
    shingle_count = 0
    for start in range(0, len(rows), CHUNK_TEXTS):
        parts.append(shingle(fetch(rows[start : start + CHUNK_TEXTS])))
        shingle_count += len(parts[-1].hashes)
        if limit is not None and shingle_count > limit:
            return None
    return join_shingles(parts)


# --- Survivors


class NearDuplicates(NamedTuple):
    """Who survives of near duplicates (`SURVIVORS`), and who does not compete.

    `group_sizes` are the sizes of the groups of rows that look alike but have different labels.
    """

    survivors: pl.DataFrame
    group_sizes: Rows


def choose_survivors(similar: Similar, rank: Rows, labels: pl.Series) -> NearDuplicates:
    """Choose who survives of similar rows, by rank.

    `labels` (null: none) are those of all rows: rows with different labels are not duplicates.
    """
    pairs, similarity = similar
    numbers = labels.rank("dense").cast(pl.Int64).fill_null(NO_LABEL).to_numpy()
    differ = have_different_labels(pairs, numbers)
    survivors = pick_survivors(pairs[~differ], similarity[~differ], rank)
    return NearDuplicates(survivors, group_sizes(pairs[differ]))


def have_different_labels(pairs: Pairs, labels: Rows) -> NDArray[np.bool_]:
    """Whether both rows of each pair have a label (not `NO_LABEL`), and not the same.

    Labels that contradict each other prove that two prompts are not duplicates, however alike.
    """
    left, right = labels[pairs].T
    differ: NDArray[np.bool_] = (left != NO_LABEL) & (right != NO_LABEL) & (left != right)
    return differ


def group_sizes(pairs: Pairs) -> Rows:
    """The number of rows of each connected component of the pairs."""
    return np.array([len(group) for group in _groups(pairs)], np.int64)


def pick_survivors(pairs: Pairs, similarity: NDArray[np.float64], rank: Rows) -> pl.DataFrame:
    """Who survives, of the rows in verified pairs: `SURVIVORS`, in ascending order of `row`.

    In the order of `rank` (lower first) each row that is not yet taken survives, and takes those of
    its partners that are not. So a row and its `survivor` are as similar as was asked for, and two
    survivors never are. A survivor is its own, with similarity 1. `rank` is that of every row there
    is, paired or not.
    """
    rows, places = np.unique(pairs, return_inverse=True)
    order = np.argsort(rank[rows], kind="stable")
    standing = np.empty_like(order)
    standing[order] = np.arange(len(order))
    ends = standing[places.reshape(-1, 2)]
    survivors, shares = _take(len(rows), ends, similarity)
    ranks = rows[order]
    columns = {"row": ranks, "survivor": ranks[survivors], "similarity": shares}
    return pl.DataFrame(columns, schema=SURVIVORS).sort("row")


def _take(
    number: int, pairs: Pairs, similarity: NDArray[np.float64]
) -> tuple[Rows, NDArray[np.float64]]:
    """The survivor of each row, and their similarity; rows are numbered in the order of rank."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    by_row = np.argsort(both[:, 0], kind="stable")
    partners, shares = both[by_row, 1], np.concatenate([similarity, similarity])[by_row]
    starts = np.searchsorted(both[by_row, 0], np.arange(number + 1)).tolist()
    survivors, taken_at = np.full(number, -1), np.ones(number)
    for row in range(number):
        if survivors[row] >= 0:
            continue
        survivors[row] = row
        near = partners[starts[row] : starts[row + 1]]
        is_free = survivors[near] < 0
        survivors[near[is_free]] = row
        taken_at[near[is_free]] = shares[starts[row] : starts[row + 1]][is_free]
    return survivors, taken_at
