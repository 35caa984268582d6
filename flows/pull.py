"""Pull: fetch the log objects that the lake does not hold yet, and land them as Parquet parts."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from bedrock_sluice.lake.landed import (
    Batch,
    Held,
    batches,
    missing,
    part_key,
    read_parts,
    source_name,
    write_part,
)
from bedrock_sluice.lake.source import LogObject, Source, Window
from bedrock_sluice.lake.store import Store
from bedrock_sluice.transforms.records import decode_object, landed_table

WORKERS = 8

Tick = Callable[[int, int], None]  # done and total, of whatever a step counts


def pull(source: Source, lake: Store, window: Window, tick: Tick) -> int:
    """Land what is listed in the window and not landed yet; returns the number of log objects.

    Safe to run again, and twice at once: parts are named after what they hold, and put if absent.
    """
    name = source_name(source)
    wanted = missing(source.objects(window), read_parts(lake, name))
    done = 0
    tick(done, len(wanted))
    with TemporaryDirectory(prefix="sluice-pull-") as folder, ThreadPoolExecutor(WORKERS) as pool:
        waiting = set[Future[int]]()
        for batch in batches(wanted):
            if len(waiting) >= 2 * WORKERS:  # bounds what is held at once
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                done += sum(future.result() for future in ready)
                tick(done, len(wanted))
            waiting.add(pool.submit(_land, source.store, lake, name, batch, Path(folder)))
        for future in waiting:
            done += future.result()
            tick(done, len(wanted))
    return done


def _land(logs: Store, lake: Store, name: str, batch: Batch, folder: Path) -> int:
    rows, held = [], list[Held]()
    for each in batch[1]:
        raw = logs.read(each.entry)
        decoded = decode_object(raw, each.entry.key)
        held.append(_held(each, raw, decoded))
        rows.extend(decoded)
    key = part_key(name, batch)
    path = folder / key.rpartition("/")[2]
    write_part(path, landed_table(rows), held)
    lake.put_new(key, path)
    path.unlink()
    return len(batch[1])


def _held(each: LogObject, raw: bytes, rows: Sequence[object]) -> Held:
    entry = each.entry
    digest = sha256(raw).hexdigest()
    return Held(entry.key, entry.etag, entry.size, entry.modified, digest, len(rows))
