"""Work on exchanges: every row once, beside its text, wherever it is done."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bedrock_sluice.flows.running import exchange_work, executor
from bedrock_sluice.flows.running.exchange_work import map_exchanges
from bedrock_sluice.lake import exchanges
from bedrock_sluice.lake.exchanges import ExchangeFiles, ExchangePart
from bedrock_sluice.transforms.curate.derived_rows import DERIVED
from bedrock_sluice.transforms.errors import TransientError

PARTS, ROWS = 5, 4


class Folder:
    """Derived parts in a folder; to repair one is to write it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repairs = list[int]()

    def open(self, number: int) -> Path:
        return self.path / f"{number}.parquet"

    def repair(self, number: int) -> Path:
        self.repairs.append(number)
        return self.write(number)

    def write(self, number: int) -> Path:
        rows = [{"response": str(n)} for n in range(number * ROWS, (number + 1) * ROWS)]
        pq.write_table(pa.Table.from_pylist(rows, schema=DERIVED), self.open(number))
        return self.open(number)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(exchange_work, "BATCH_ROWS", 5)
    folder = Folder(tmp_path)
    for number in range(PARTS):
        folder.write(number)
    return folder


def run(folder: Folder, numbers: list[int]) -> list[pl.DataFrame]:
    parts = [ExchangePart(number, np.arange(ROWS)) for number in range(PARTS)]
    rows = pl.DataFrame({"exchange": numbers, "name": [f"row {n}" for n in numbers]})
    files = ExchangeFiles(parts=parts, files=folder)
    return map_exchanges(files, rows, ("response",), pl.DataFrame.clone)


@pytest.mark.parametrize("least_bytes", [executor.MIN_PROCESS_BYTES, 0])
def test_each_row_is_given_once_with_its_text(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, least_bytes: int
) -> None:
    monkeypatch.setattr(executor, "MIN_PROCESS_BYTES", least_bytes)
    pieces = run(folder, [17, 3, 8, 1, 0, 9, 2, 16])
    assert [piece.height for piece in pieces] == [4, 4]  # a part is never divided
    rows = [0, 1, 2, 3, 8, 9, 16, 17]
    expected = [(n, f"row {n}", str(n)) for n in rows]
    assert pl.concat(pieces).rows() == expected
    assert run(folder, []) == []


def test_large_texts_are_worked_on_in_pieces(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchanges, "PIECE_BYTES", 1)
    pieces = run(folder, [0, 1, 4, 5, 6, 9])
    assert [piece["response"].to_list() for piece in pieces] == [["0", "1"], ["4", "5", "6"], ["9"]]
    assert pl.concat(pieces)["name"].to_list() == [f"row {n}" for n in (0, 1, 4, 5, 6, 9)]


def test_a_part_that_goes_is_computed_anew(folder: Folder) -> None:
    folder.open(2).unlink()
    assert pl.concat(run(folder, [1, 9, 18]))["response"].to_list() == ["1", "9", "18"]
    assert folder.repairs == [2]


def test_a_part_that_goes_again_is_worth_another_try(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "repair", folder.open)
    folder.open(2).unlink()
    with pytest.raises(TransientError, match="run again"):
        run(folder, [9])
