"""Files of exchanges: rows are found by their number, wherever files and row groups end."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_sluice.lake import exchanges
from bedrock_sluice.lake.exchanges import ExchangeFile, ExchangeFiles, read_columns, read_rows
from bedrock_sluice.lake.texts import open_texts, write_texts
from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.errors import TransientError

SIZES = [[3, 4], [], [0, 5]]  # exchanges of each row group, a list for each file


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ExchangeFiles:
    """Exchanges 0 to 11 in three files, each with its number as its response.

    Each is followed by a row that is not an exchange of this build.
    """
    monkeypatch.setattr(exchanges, "BATCH_ROWS", 2)
    result, first = ExchangeFiles(), 0
    for part, groups in enumerate(SIZES):
        path = tmp_path / f"{part}.parquet"
        with pq.ParquetWriter(path, DERIVED) as writer:
            for size in groups:
                rows = [
                    {"response": response}
                    for number in range(first, first + size)
                    for response in (str(number), "not of this build")
                ]
                writer.write_table(pa.Table.from_pylist(rows, schema=DERIVED))
                first += size
        result.files.append(ExchangeFile(path, np.arange(sum(groups)) * 2))
    return result


@pytest.mark.parametrize("numbers", [[], [0], [11], [2, 3, 6, 7], [7], [10, 1, 4], range(12)])
def test_exchanges_are_read_by_number(files: ExchangeFiles, numbers: list[int]) -> None:
    pieces = list(files.read(("response",), pl.Series(numbers, dtype=pl.UInt32)))
    assert max(piece.height for piece in pieces) <= 2
    frame = pl.concat(pieces)
    assert frame["exchange"].to_list() == sorted(numbers)
    assert frame["response"].to_list() == [str(number) for number in sorted(numbers)]


def test_files_name_their_rows(files: ExchangeFiles) -> None:
    by_file = files.rows_by_file(pl.Series([9, 2, 8], dtype=pl.UInt32))
    assert [(path, rows.tolist()) for path, rows in by_file] == [
        (files.files[0].path, [4]),
        (files.files[2].path, [2, 4]),
    ]


def test_rows_of_one_file(files: ExchangeFiles) -> None:
    batches = read_rows(files.files[2].path, ["response"], np.array([0, 6]))
    assert [each["response"].to_pylist() for each in batches] == [["7"], ["10"]]


def test_a_file_that_goes_or_breaks_during_a_build_is_worth_another_try(
    files: ExchangeFiles,
) -> None:
    path = files.files[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(TransientError, match="run again"):
        list(files.read(("response",), pl.Series([0], dtype=pl.UInt32)))
    path.unlink()
    with pytest.raises(TransientError, match="run again"):
        read_columns(path, ["reason"])


def test_texts_are_fetched_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, pieces in zip(paths, [[["0", "1"], ["2"]], [["3"]]], strict=True):
        with write_texts(path) as writer:
            for piece in pieces:
                writer.write(pl.Series(piece))
    texts = open_texts(paths)
    assert texts.fetch(np.array([3, 0, 2, 0])).to_list() == ["3", "0", "2", "0"]
    assert texts.fetch(np.array([], np.int64)).to_list() == []
