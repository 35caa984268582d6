"""The stage `derive`: the derived part of each landed part, from the lake or computed now."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from bedrock_sluice.flows.context import BuildContext
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.running.executor import distribute, in_order
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.lake.derived import (
    digest_of,
    fingerprint,
    is_sound,
    list_derived,
    open_derived,
    put_derived,
)
from bedrock_sluice.lake.logs.landed import read_rows
from bedrock_sluice.lake.stores.opening import reopen_store
from bedrock_sluice.lake.stores.store import Entry, Store
from bedrock_sluice.transforms.curate.derived_rows import DeriveOptions, derive_rows
from bedrock_sluice.transforms.errors import TransientError
from bedrock_sluice.transforms.tables import LANDED


@dataclass(frozen=True)
class DeriveTask:
    """A landed part, and its derived parts in the lake; data to send to workers."""

    number: int
    landed: Entry
    entries: list[Entry]


@dataclass(frozen=True)
class Derivation:
    """How derived parts are computed, and the lake that they are put into."""

    lake: str
    fingerprint: str
    options: DeriveOptions


def derive(
    context: BuildContext, parts: Collection[int], report_progress: ReportProgress
) -> dict[int, Path]:
    """Return a local file of the derived part of each of these landed parts, by number.

    What the lake does not have, or has damaged, is computed and put there.
    """
    landed, options = context.landed, derive_options(context.recipe)
    derivation = Derivation(context.lake.uri, fingerprint(options), options)
    entries = list_derived(context.lake, derivation.fingerprint)
    tasks = [
        DeriveTask(number, part.part.entry, entries.get(part.part.entry.key, []))
        for number, part in enumerate(landed.parts)
        if number in parts
    ]
    # Hashing and fetching release the lock of the interpreter, so threads are enough.
    paths = dict[int, Path]()
    for task, path in zip(tasks, in_order(partial(_find, context.lake), tasks, 0), strict=True):
        if path is not None:
            paths[task.number] = path
            report_progress(len(paths), len(tasks))
    missing = [task for task in tasks if task.number not in paths]
    size = sum(task.landed.size for task in missing)
    reopen_store.cache_clear()
    new_parts = list[Entry]()
    for entry in distribute(partial(compute_derived, derivation), missing, size):
        new_parts.append(entry)
        report_progress(len(paths) + len(new_parts), len(tasks))
    files = in_order(context.lake.local, new_parts, 0)
    return paths | {task.number: path for task, path in zip(missing, files, strict=True)}


def derive_options(recipe: Recipe) -> DeriveOptions:
    """Return the settings of a recipe that decide derived parts."""
    # The split always compares turns; another scope is only sketched if curation compares it.
    other_scopes = {recipe.curate.near_scope} - {"turns"} if recipe.curate.near_duplicates else ()
    return DeriveOptions(
        keep_reasoning=recipe.normalise.keep_reasoning,
        scopes=("turns", *other_scopes),
        has_languages=bool(recipe.quality.languages),
    )


def _find(lake: Store, task: DeriveTask) -> Path | None:
    """Return the local file of a sound derived part of the lake, or None."""
    if not task.entries:
        return None
    landed_digest = digest_of(lake.local(task.landed))
    for entry in task.entries:
        try:
            path = lake.local(entry)
        except TransientError:  # removed since it was listed
            continue
        if is_sound(path, entry.key, landed_digest):
            return path
    return None


def compute_derived(derivation: Derivation, task: DeriveTask) -> Entry:
    """Compute the derived part of a landed part and put it into the lake.

    Raises:
        IntegrityError: the landed part is damaged.
    """
    lake = reopen_store(derivation.lake)
    landed = lake.local(task.landed)
    with TemporaryDirectory(prefix="sluice-derive-") as folder:
        path = Path(folder, "derived.parquet")
        with open_derived(path, digest_of(landed)) as writer:
            for table in read_rows(landed, LANDED.names, None):
                _write_rows(writer, table, derivation.options)
                del table  # it may be large; the next one is read without it
        pa.default_memory_pool().release_unused()
        return put_derived(lake, derivation.fingerprint, task.landed.key, path, task.entries)


# A function of its own, so that its tables are freed before the next one is read.
def _write_rows(writer: pq.ParquetWriter, landed: pa.Table, options: DeriveOptions) -> None:
    writer.write_table(derive_rows(landed, options))
