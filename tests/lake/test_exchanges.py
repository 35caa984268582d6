"""Files of exchanges: rows are found by their number, wherever files and row groups end."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_sluice.lake import exchanges
from bedrock_sluice.lake.exchanges import (
    ExchangeFile,
    ExchangeFiles,
    ExchangePart,
    read_columns,
    read_rows,
)
from bedrock_sluice.lake.texts import LazyTexts, Texts
from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.errors import TransientError

SIZES = [[3, 4], [], [0, 5]]  # exchanges of each row group, a list for each file


class Folder(NamedTuple):
    """Parts as files of a folder, and copies of them that stand for parts computed anew."""

    path: Path
    repairs: list[int]

    def open(self, number: int) -> Path:
        return self.path / f"{number}.parquet"

    def repair(self, number: int) -> Path:
        self.repairs.append(number)
        return self.path / "copies" / f"{number}.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, [])


@pytest.fixture(params=[exchanges.MAX_AHEAD_BYTES, 0])
def files(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> ExchangeFiles:
    """Exchanges 0 to 11 in three parts, each with its number as its response and its dialect.

    Each is followed by a row that is not an exchange of this build.
    """
    monkeypatch.setattr(exchanges, "BATCH_ROWS", 2)
    monkeypatch.setattr(exchanges, "MAX_AHEAD_BYTES", request.param)
    result, first = ExchangeFiles(files=folder), 0
    for part, groups in enumerate(SIZES):
        path = folder.open(part)
        with pq.ParquetWriter(path, DERIVED, write_page_checksum=True) as writer:
            for size in groups:
                rows = [
                    {"response": response, "dialect": response}
                    for number in range(first, first + size)
                    for response in (str(number), "not of this build")
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema=DERIVED))
                first += size
        result.parts.append(ExchangePart(part, np.arange(sum(groups)) * 2))
        result.days.append(ExchangeFile(path, np.arange(sum(groups)) * 2))
    shutil.copytree(folder.path, folder.path / "copies")
    return result


@pytest.mark.parametrize("numbers", [[], [0], [11], [2, 3, 6, 7], [7], [10, 1, 4], range(12)])
@pytest.mark.parametrize("column", ["response", "dialect"])
def test_exchanges_are_read_by_number(
    files: ExchangeFiles, numbers: list[int], column: str
) -> None:
    frame = pl.concat(files.read((column,), pl.Series(numbers, dtype=pl.UInt32)))
    assert frame["exchange"].to_list() == sorted(numbers)
    assert frame[column].to_list() == [str(number) for number in sorted(numbers)]


@pytest.mark.parametrize("column", ["response", "dialect"])
def test_pieces_are_bounded_in_bytes_and_not_needlessly_small(
    files: ExchangeFiles, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    every = pl.Series(range(12), dtype=pl.UInt32)
    assert [piece.height for piece in files.read((column,), every)] == [0, 12]
    monkeypatch.setattr(exchanges, "PIECE_BYTES", 1)
    heights = [piece.height for piece in files.read((column,), every)]
    assert sum(heights) == 12
    assert max(heights) == 1  # of the two rows of a batch, one is of this build


def test_files_name_their_rows(files: ExchangeFiles, folder: Folder) -> None:
    by_file = files.rows_by_file(pl.Series([9, 2, 8], dtype=pl.UInt32))
    assert [(path, rows.tolist()) for path, rows in by_file] == [
        (folder.open(0), [4]),
        (folder.open(2), [2, 4]),
    ]


def test_rows_of_one_file(files: ExchangeFiles, folder: Folder) -> None:
    assert files.parts
    batches = read_rows(folder.open(2), ["response"], np.array([0, 6]))
    assert [each["response"].to_pylist() for each in batches] == [["7"], ["10"]]


def test_a_part_that_goes_or_breaks_during_a_build_is_computed_anew(
    files: ExchangeFiles, folder: Folder
) -> None:
    content = bytearray(folder.open(0).read_bytes())
    column = pq.read_metadata(folder.open(0)).row_group(1).column(DERIVED.names.index("response"))
    content[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 1
    folder.open(0).write_bytes(content)  # in the second row group: some pieces are read before
    folder.open(2).unlink()
    every = pl.Series(range(12), dtype=pl.UInt32)
    frame = pl.concat(files.read(("response",), every))
    assert frame["response"].to_list() == [str(number) for number in range(12)]
    assert folder.repairs == [0, 2]
    files.repair_all(("response",))
    assert folder.repairs == [0, 2, 0, 2]


def test_a_compacted_day_that_goes_during_a_build_is_worth_another_try(
    files: ExchangeFiles, folder: Folder
) -> None:
    folder.open(0).unlink()
    with pytest.raises(TransientError, match="run again"):
        list(files.read(("dialect",), pl.Series([0], dtype=pl.UInt32)))
    with pytest.raises(TransientError, match="run again"):
        read_columns(folder.open(0), ["reason"])


def test_texts_are_read_once_and_only_if_they_are_fetched(tmp_path: Path) -> None:
    reads = list[list[int]]()

    def read(rows: exchanges.Rows) -> list[pl.Series]:
        reads.append(rows.tolist())
        return [pl.Series([], dtype=pl.String), rows_as_text(rows[:1]), rows_as_text(rows[1:])]

    texts = LazyTexts(tmp_path, 9, read)
    assert texts.fetch(np.array([], np.int64)).to_list() == []
    assert texts.fetch(np.array([7, 3, 7])).to_list() == ["7", "3", "7"]
    assert texts.fetch(np.array([8, 7, 0, 3])).to_list() == ["8", "7", "0", "3"]
    assert reads == [[3, 7], [0, 8]]


def test_texts_that_could_not_be_read_are_read_when_they_are_fetched_again(tmp_path: Path) -> None:
    errors = [TransientError("run again")]

    def read(rows: exchanges.Rows) -> list[pl.Series]:
        if errors:
            raise errors.pop()
        return [rows_as_text(rows)]

    texts = LazyTexts(tmp_path, 9, read)
    with pytest.raises(TransientError):
        texts.fetch(np.array([7, 3]))
    assert texts.fetch(np.array([7, 3])).to_list() == ["7", "3"]


def rows_as_text(rows: exchanges.Rows) -> pl.Series:
    return pl.Series([str(row) for row in rows], dtype=pl.String)


def test_texts_are_fetched_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    texts = Texts()
    for number, piece in enumerate([["0", "1", "2"], [], ["3"]]):
        texts = texts.extend(pl.Series(piece, dtype=pl.String), tmp_path / f"{number}")
    assert texts.fetch(np.array([3, 0, 2, 0])).to_list() == ["3", "0", "2", "0"]
    assert texts.fetch(np.array([], np.int64)).to_list() == []
