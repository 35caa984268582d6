"""Measures derived rows: `make bench`, or `python tests/bench/derive.py [--records N]`.

Prints records per second of processor time: of derived rows, and of exchanges alone. Polars is
given one thread, as in a build other processes take the other processors.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory
from time import process_time

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when polars is imported

import pyarrow as pa

from bedrock_sluice.transforms.curate.derived_rows import DeriveOptions, derive_rows
from bedrock_sluice.transforms.decode.records import decode_object
from bedrock_sluice.transforms.readers.normalise import normalise
from bedrock_sluice.transforms.tables import landed_table

GENERATE = Path(__file__).with_name("generate.py")
ROUNDS = 5  # the fastest counts: whatever else runs only ever slows one down


def landed_tables(folder: Path, records: int) -> Iterator[pa.Table]:
    """Generate logs and decode them, a table for each log object."""
    run([sys.executable, GENERATE, folder, str(records)], check=True, capture_output=True)
    for path in sorted(folder.rglob("*.json.gz")):
        yield landed_table(decode_object(path.read_bytes(), path.name))


def best_seconds(work: Callable[[pa.Table], object], tables: list[pa.Table]) -> float:
    """Return the seconds of processor time of the fastest round."""
    seconds = list[float]()
    for _ in range(ROUNDS):
        start = process_time()
        for table in tables:
            work(table)
        seconds.append(process_time() - start)
    return min(seconds)


def main(records: int) -> None:
    """Generate logs, measure, print the report."""
    with TemporaryDirectory(prefix="sluice-bench-") as name:
        tables = list(landed_tables(Path(name), records))
    works: dict[str, Callable[[pa.Table], object]] = {
        "exchanges alone": normalise,
        "derived rows": lambda table: derive_rows(table, DeriveOptions()),
        "with languages": lambda table: derive_rows(table, DeriveOptions(has_languages=True)),
    }
    for name, work in works.items():
        seconds = best_seconds(work, tables)
        sys.stdout.write(f"{name:18}{records / seconds:10,.0f} records/s\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=4_000)
    main(parser.parse_args().records)
