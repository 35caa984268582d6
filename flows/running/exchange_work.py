"""Work on exchanges with their texts: where they are many, in processes that read them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar

import polars as pl

from bedrock_sluice.flows.running.executor import in_order
from bedrock_sluice.lake.exchanges import (
    BATCH_ROWS,
    ExchangeFile,
    ExchangeFiles,
    file_size,
    join_batches,
    read_rows,
)
from bedrock_sluice.transforms.errors import TransientError

Result = TypeVar("Result")


@dataclass(frozen=True)
class ExchangeTask:
    """Rows about exchanges, by number (`exchange`), and the files that have their texts."""

    rows: pl.DataFrame
    files: list[ExchangeFile]


def map_exchanges(
    files: ExchangeFiles,
    rows: pl.DataFrame,
    columns: Sequence[str],
    work: Callable[[pl.DataFrame], Result],
) -> list[Result]:
    """Do `work` on rows about exchanges, in ascending order of `exchange`, in pieces.

    Pieces are bounded in rows and bytes.

    `work` is given the rows with these columns of `DERIVED`, texts too. It may run in another
    process: it is a function of a module, or a `partial` of one, and what it returns can be sent.

    Raises:
        TransientError: a file or a process is gone.
    """

    def do_all() -> list[Result]:
        tasks = list(_tasks(files, rows.sort("exchange")))
        size = sum(file_size(file.path) for task in tasks for file in task.files)
        return list(chain.from_iterable(in_order(partial(_do, work, columns), tasks, size)))

    try:
        return do_all()
    except TransientError:  # a worker could not read a file, or died
        files.repair_all(columns)
        return do_all()


def _tasks(files: ExchangeFiles, rows: pl.DataFrame) -> Iterator[ExchangeTask]:
    """Group files: to work on few rows takes nearly as long as on many."""
    group, start, end = list[ExchangeFile](), 0, 0
    for file in files.rows_by_file(rows["exchange"]):
        if group and end - start + len(file.rows) > BATCH_ROWS:
            yield ExchangeTask(rows[start:end], group)
            group, start = [], end
        group.append(file)
        end += len(file.rows)
    if group:
        yield ExchangeTask(rows[start:end], group)


def _do(
    work: Callable[[pl.DataFrame], Result], columns: Sequence[str], task: ExchangeTask
) -> list[Result]:
    results, start = list[Result](), 0
    batches = (read_rows(file.path, columns, file.rows) for file in task.files)
    for texts in join_batches(chain.from_iterable(batches)):
        rows = task.rows.slice(start, texts.height)
        results.append(work(pl.concat([rows, texts], how="horizontal")))
        start += texts.height
        del texts  # the next ones are read without them
    return results
