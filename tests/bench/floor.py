"""What a dataset costs at the least: the fastest way by hand that we know, in two processes.

    python tests/bench/floor.py LOGS OUT

Reads the three dialects of `generate.py`, takes the records with `env: prod`, drops exact and near
duplicates, splits, and writes chat lines. It lands nothing, keeps no fates, looks for no secrets,
checks nothing, and trusts its input: a floor, not a program. Prints its counts as JSON.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from isal.igzip import decompress
from msgspec import Raw, Struct, field
from numpy.typing import NDArray

PROCESSES = 2
PERMUTATIONS, BANDS = 32, 8
WIDTH = 5
THRESHOLD = 0.8
VALIDATION = 0.1
OBJECTS_PER_TASK = 8

Numbers = NDArray[np.uint64]
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.random.default_rng(1).integers(1, 2**63, PERMUTATIONS, np.uint64) | np.uint64(1)


class Body(Struct):
    body: Raw = field(name="inputBodyJson", default=Raw())


class Answer(Struct):
    body: Raw = field(name="outputBodyJson", default=Raw())


class Record(Struct):
    request_id: str = field(name="requestId")
    operation: str
    metadata: dict[str, str] = field(name="requestMetadata")
    input: Body
    output: Answer


class Row(NamedTuple):
    request_id: str
    messages: list[Any]
    answer: str
    text: str


RECORD, ANY = msgspec.json.Decoder(Record), msgspec.json.Decoder()


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _row(record: Record) -> Row:
    request, response = ANY.decode(record.input.body), ANY.decode(record.output.body)
    messages = [
        {"role": each["role"], "content": _text(each["content"])} for each in request["messages"]
    ]
    if record.operation == "ChatCompletions":
        answer = response["choices"][0]["message"]["content"]
    else:
        messages.insert(0, {"role": "system", "content": _text(request["system"])})
        message = response["output"]["message"] if record.operation == "Converse" else response
        answer = _text(message["content"])
    turns = "\n".join(each["content"] for each in messages[1:])
    return Row(record.request_id, messages, answer, turns)


def _shingles(text: str) -> Numbers:
    """The distinct hashes of runs of five words."""
    words = np.array([hash(word) for word in text.lower().split()], dtype=np.int64).view(np.uint64)
    if len(words) < WIDTH:
        return np.unique(words)
    grams = np.zeros(len(words) - WIDTH + 1, np.uint64)
    for n in range(WIDTH):
        grams = (grams ^ words[n : n + len(grams)]) * _STEP
    return np.unique(grams)


def _read(paths: list[Path]) -> tuple[int, list[Row], Numbers]:
    records, rows, sketches = 0, list[Row](), list[Numbers]()
    for path in paths:
        for line in decompress(path.read_bytes()).splitlines():  # type: ignore[no-untyped-call]
            record = RECORD.decode(line)
            records += 1
            if record.metadata.get("env") == "prod":
                row = _row(record)
                rows.append(row)
                grams = _shingles(row.text)
                sketches.append((grams[:, None] * _MULTIPLIERS).min(axis=0) >> np.uint64(32))
    return records, rows, np.array(sketches, np.uint64).reshape(-1, PERMUTATIONS)


def _near_duplicates(rows: list[Row], sketches: Numbers) -> set[int]:
    """Rows that say nearly what an earlier one says: banded by sketch, verified by shingles."""
    repeats, width = set[int](), PERMUTATIONS // BANDS
    candidates = set[tuple[int, int]]()
    for band in range(BANDS):
        part = np.ascontiguousarray(sketches[:, band * width : (band + 1) * width])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * width))).ravel()
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        candidates.update(zip(order[same].tolist(), order[same + 1].tolist(), strict=True))
    for one, two in sorted(candidates):
        a, b = _shingles(rows[one].text), _shingles(rows[two].text)
        common = len(np.intersect1d(a, b, assume_unique=True))
        if common >= THRESHOLD * (len(a) + len(b) - common):
            repeats.add(max(one, two))
    return repeats


def main(logs: Path, out: Path) -> dict[str, int]:
    paths = sorted(logs.rglob("*.gz"))
    tasks = [paths[n : n + OBJECTS_PER_TASK] for n in range(0, len(paths), OBJECTS_PER_TASK)]
    # Forked, so that hashes of words are the same in both.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("fork")) as pool:
        parts = list(pool.map(_read, tasks))
    rows = [row for _, part, _ in parts for row in part]
    sketches = np.concatenate([part for _, _, part in parts])
    digests = dict[bytes, int]()
    for number, row in enumerate(rows):
        digests.setdefault(blake2b(msgspec.json.encode(row.messages)).digest(), number)
    unique = sorted(digests.values())
    rows, sketches = [rows[number] for number in unique], sketches[unique]
    repeats = _near_duplicates(rows, sketches)
    counts = {"records": sum(records for records, _, _ in parts), "train": 0, "validation": 0}
    with (out / "train.jsonl").open("wb") as train, (out / "validation.jsonl").open("wb") as other:
        for number, row in enumerate(rows):
            if number in repeats:
                continue
            share = int.from_bytes(blake2b(row.text.encode(), digest_size=4).digest()) / 2**32
            side = "validation" if share < VALIDATION else "train"
            line = {"id": row.request_id, "messages": row.messages, "reference_answer": row.answer}
            (other if side == "validation" else train).write(msgspec.json.encode(line) + b"\n")
            counts[side] += 1
    return counts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))) + "\n")
