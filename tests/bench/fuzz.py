"""Reads log lines that were damaged at random: each must give an exchange or a reason.

    python tests/bench/fuzz.py [--lines N] [--seed S]    prints how many gave what, and peak memory
    python tests/bench/fuzz.py --seed S --only K         reads line K of that seed again
    python tests/bench/fuzz.py --sizes                   peak memory for the largest objects

Exits with 1 if anything else came out, and tells the seed and the number of the line.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter
from traceback import format_exc
from types import ModuleType
from typing import Any

Json = dict[str, Any]

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))  # for `support`
MIB = 1 << 20
MAX_PEAK_MIB = 512
RSS_PER_MIB = MIB if sys.platform == "darwin" else 1024
MAX_CHANGES = 4  # of one line


def load(path: Path) -> ModuleType:
    """A Python file as a module: test folders are no packages."""
    spec = spec_from_file_location(path.stem, path)
    if not spec or not spec.loader:
        sys.exit(f"{path} can't be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peak_mib() -> float:
    return getrusage(RUSAGE_SELF).ru_maxrss / RSS_PER_MIB


# --- lines to begin with

CALL = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
TALK: list[Json] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "what colour is the sky? 😀"},
    {"role": "assistant", "content": "let me look", "tool_calls": [CALL]},
    {"role": "tool", "content": "blue", "tool_call_id": "t1"},
    {"role": "assistant", "content": "It is blue."},
    {"role": "user", "content": "and the sea?"},
]
REPLY = {"role": "assistant", "content": "<thinking>hm</thinking>Blue, too.", "tool_calls": [CALL]}
SCHEMA = {"type": "object", "properties": {"at": {"type": "string", "maxLength": 9}}}
TOOL = {"name": "look", "description": "Look at it", "parameters": SCHEMA}
STREAMS = {
    "converse_events": "converse",
    "anthropic_stream": "anthropic_messages",
    "chat_chunks": "chat_completions",
}
SOURCE = {"format": "png", "source": {"s3Uri": "s3://logs/data/a_input_media_00.png"}}
CONVERSE_BLOCKS: list[Json] = [
    {"text": "a"},
    {"image": SOURCE},
    {"guardContent": {"text": {"text": "b"}}},
    {"cachePoint": {"type": "default"}},
    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "x"}}},
    {"citationsContent": {"content": [{"text": "c"}], "citations": []}},
    {"searchResult": {"source": "x", "title": "y", "content": [{"text": "d"}]}},
    {"toolResult": {"toolUseId": "t", "content": [{"json": {"a": [1.5]}}, {"text": "e"}]}},
]
ANTHROPIC_BLOCKS: list[Json] = [
    {"type": "thinking", "thinking": "hm", "signature": "x"},
    {"type": "redacted_thinking", "data": "x"},
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "a"}]},
    {"type": "image", "source": {"type": "base64", "data": "eA=="}},
]
ITEMS: list[Json] = [
    {"role": "developer", "content": "be brief"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "sky?"}]},
    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "function_call", "call_id": "t1", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "t1", "output": "blue"},
]
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "4"}]}
RESPONSE = {"object": "response", "status": "completed", "output": [*ITEMS[2:4], SAID]}
TEXTS: list[tuple[Json, Any]] = [
    ({"prompt": "\n\nHuman: 2 + 2?\n\nAssistant:"}, {"completion": "4", "stop_reason": "stop"}),
    ({"prompt": "<s>[INST] 2 + 2? [/INST]"}, {"outputs": [{"text": "4", "stop_reason": "stop"}]}),
    ({"prompt": "2 + 2?"}, {"generation": "4", "stop_reason": "stop"}),
    ({"prompt": "2 + 2?"}, [{"generation": "4"}, {"generation": "2", "stop_reason": "stop"}]),
    ({"prompt": "2 + 2?"}, {"choices": [{"text": "4", "stop_reason": "stop"}]}),
    ({"inputText": "2 + 2?"}, {"results": [{"outputText": "4", "completionReason": "FINISH"}]}),
    ({"message": "2 + 2?", "chat_history": []}, {"text": "4", "finish_reason": "COMPLETE"}),
    ({"inputText": "2 + 2?"}, {"embedding": [0.5], "inputTextTokenCount": 4}),
]


def begin(logs_module: ModuleType) -> list[bytes]:
    """One line of each kind, of all dialects; `shared` is the module of the common fixtures."""
    pairs = [*_pairs(logs_module), *TEXTS]
    pairs += [(json.dumps(request), json.dumps(reply)) for request, reply in pairs[:3]]
    records = [logs_module.make_record(bodies=pair, metadata={"team": "math"}) for pair in pairs]
    records.append(
        logs_module.make_record(errorCode="ThrottlingException", input=None, output=None)
    )
    lines = [json.dumps(record).encode() for record in records]
    return [*lines, b"2026-10-01T12:00:00.000Z " + lines[0]]


def _pairs(logs_module: ModuleType) -> Iterator[tuple[Any, Any]]:
    tools = [{"type": "function", "function": TOOL}]
    for dialect in ("converse", "anthropic_messages", "chat_completions"):
        yield logs_module.encode_bodies(
            dialect, TALK[1:2], {"role": "assistant", "content": "Blue."}
        )
        yield logs_module.encode_bodies(dialect, TALK, REPLY, tools)
    for stream_dialect, dialect in STREAMS.items():
        request, reply = logs_module.encode_bodies(dialect, TALK, REPLY, tools)
        yield request, logs_module.stream_reply(stream_dialect, reply, Random(0))
    request, reply = logs_module.encode_bodies("converse", TALK[:2], REPLY)
    yield {"messages": [{"role": "user", "content": CONVERSE_BLOCKS}]}, reply
    request, reply = logs_module.encode_bodies("anthropic_messages", TALK[:2], REPLY)
    yield {"messages": [{"role": "user", "content": ANTHROPIC_BLOCKS}]}, reply
    yield (
        {"input": ITEMS, "instructions": "be kind", "tools": [{"type": "function"} | TOOL]},
        RESPONSE,
    )
    added_event = {"type": "response.output_item.added", "item": SAID | {"content": []}}
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "4"}
    completed_event = {"type": "response.completed", "response": RESPONSE}
    yield {"input": "2 + 2?"}, [{"type": "response.created"}, added_event, delta, delta]
    yield {"input": "2 + 2?"}, [{"type": "response.created"}, added_event, delta, completed_event]


# --- damage

MARK = "@raw"  # strings of this and a number are replaced by JSON, or what is none
RAW = (
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 126 + b"1" + b"}" * 126,
    b"9" * 30,
    b"9" * 5_000,
    b"-" + b"9" * 18,
    b"1e400",
    b"-0",
    b"NaN",
    b"-Infinity",
    b'"\\ud83d"',
    b'"\xff\xfe"',
    b'"\\u0000"',
    b'{"a": 1, "a": {}}',
    b"[" + b"0," * 100_000 + b"0]",
)
SCALARS = (
    "null", "true", "0", "-1", "9223372036854775808", "1.5", '""', '" \\n"', '"[DONE]"',
    "[]", "{}", "[[]]", '"\\u0000\\u202e"', '"assistant"', '["a"]', '{"type": "text"}',
)  # fmt: skip


def damage(line: bytes, rng: Random) -> bytes:
    """A line with a few changes to its JSON, to its bytes, or to both."""
    changes = rng.choice((1, 1, 2, MAX_CHANGES))
    if rng.random() < 0.75 and line.startswith(b"{"):
        record = json.loads(line)
        for _ in range(changes):
            _change(record, rng)
        text = json.dumps(record, ensure_ascii=rng.random() < 0.5).encode()
        for number, raw in enumerate(RAW):
            text = text.replace(f'"{MARK}{number}"'.encode(), raw)
        line = text
        changes = rng.choice((0, 0, 0, 1))
    for _ in range(changes):
        line = _bytes_changed(line, rng)
    return line


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every list or object inside a JSON value, with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    here = [(value, key) for key in keys]
    below = [p for k in keys if isinstance(value[k], dict | list) for p in _places(value[k])]
    return here + below


def _change(record: Json, rng: Random) -> None:
    """Change one place, mostly in a body."""
    side = record.get(rng.choice(("input", "output")))
    is_body = isinstance(side, dict) and side and rng.random() < 0.9
    places = _places(side if is_body else record)
    if places:
        inside, key = rng.choice(places)
        rng.choice(CHANGES)(inside, key, rng, places)


def _drop(inside: Any, key: Any, _rng: Random, _places: Any) -> None:
    del inside[key]


def _repeat(inside: Any, key: Any, rng: Random, _places: Any) -> None:
    if isinstance(inside, list):
        inside[key:key] = [inside[key]] * rng.randint(1, 3)
    else:
        inside[f"{key}{rng.choice(('', 's', '_'))}"] = inside[key]


def _rename(inside: Any, key: Any, rng: Random, places: Any) -> None:
    if isinstance(inside, dict):
        names = [name for _, name in places if isinstance(name, str)]
        inside[rng.choice((key.upper(), key[:-1], "type", *names))] = inside.pop(key)


def _retype(inside: Any, key: Any, rng: Random, _places: Any) -> None:
    inside[key] = json.loads(rng.choice(SCALARS))


def _hostile(inside: Any, key: Any, rng: Random, _places: Any) -> None:
    inside[key] = f"{MARK}{rng.randrange(len(RAW))}"


def _transplant(inside: Any, key: Any, rng: Random, places: Any) -> None:
    """Put a copy of another part here."""
    other, name = rng.choice(places)
    inside[key] = json.loads(json.dumps(other[name]))


def _wrap(inside: Any, key: Any, rng: Random, _places: Any) -> None:
    for _ in range(rng.choice((1, 1, 2, 60))):
        inside[key] = rng.choice(([inside[key]], {"text": inside[key]}, {"content": inside[key]}))


def _stringify(inside: Any, key: Any, _rng: Random, _places: Any) -> None:
    inside[key] = json.dumps(inside[key])


CHANGES: tuple[Callable[[Any, Any, Random, Any], None], ...] = (
    _drop, _repeat, _rename, _retype, _hostile, _transplant, _wrap, _stringify,
)  # fmt: skip


def _bytes_changed(line: bytes, rng: Random) -> bytes:
    start = rng.randint(0, len(line))
    end = min(len(line), start + rng.choice((1, 1, 4, 40)))
    old = line[start:end]
    other_bytes = bytes(byte ^ 1 << rng.randrange(8) for byte in old[:2]) + old[2:]
    junk = rng.choice(
        (b'"', b"\\", b"}", b"[", b",", b"\n", b"\x00", b"\xff", b"\\ud83d", b"{" * 200)
    )
    new = rng.choice((b"", old + old, other_bytes, junk))
    return line[:start] + new + line[end:] if rng.random() < 0.9 else line[:start]


# --- reading


def outcomes(line: bytes) -> list[str]:
    """What became of each record in the line: `exchange <dialect>`, or a reason.

    Raises:
        Exception: of any kind, when something became of it that should not.
    """
    from bedrock_sluice.transforms.decode.records import decode_object
    from bedrock_sluice.transforms.readers.normalise import normalise
    from bedrock_sluice.transforms.reasons import Reason
    from bedrock_sluice.transforms.tables import landed_table

    rows = decode_object(line, "fuzz")
    read = normalise(landed_table(rows))
    if read.exchanges.num_rows + read.rejected.height != len(rows):
        raise AssertionError("rows were lost")
    for column in ("messages", "response", "tools"):
        for text in read.exchanges[column].to_pylist():
            json.dumps(json.loads(text or "null"), ensure_ascii=False).encode()
    reasons = list[str](read.rejected["reason"])
    if not set(reasons) <= set(Reason):
        raise AssertionError("a reason that there is not")
    return [f"exchange {d}" for d in read.exchanges["dialect"].to_pylist()] + reasons


def fuzz(seed: int, numbers: range) -> bool:
    """Damage and read the lines of those numbers; whether all came out as they should."""
    lines = begin(load(TESTS / "conftest.py"))
    counts, start = Counter[str](), perf_counter()
    for number in numbers:
        rng = Random(f"{seed}-{number}")
        line = damage(rng.choice(lines), rng)
        try:
            counts.update(outcomes(line) or ["nothing, for the line is blank"])
        except Exception:
            sys.stdout.write(f"{format_exc()}\n--seed {seed} --only {number}\n{line[:2_000]!r}\n")
            return False
    for outcome, count in counts.most_common():
        sys.stdout.write(f"{count:9,} {outcome}\n")
    seconds = perf_counter() - start
    sys.stdout.write(
        f"{len(numbers):9,} lines, seed {seed}: {seconds:.0f} s, {peak_mib():.0f} MiB\n"
    )
    return True


# --- sizes


def large(name: str) -> bytes:
    """A large object, by its name in `SIZES`."""
    zoo = load(TESTS / "zoo" / "make_zoo.py")
    content: bytes = SIZES[name](zoo)
    return content


def _of(piece: bytes) -> Callable[[ModuleType], bytes]:
    """An object of one line, nearly as long as a line may be, that repeats a piece."""
    return lambda zoo: zoo._gz(b'{"requestId": ' + piece * (31 * MIB // len(piece)))


TURN: list[Json] = [{"role": "user", "content": [{"text": "a"}]}]  # five keys
CONVERSED = {"output": {"message": TURN[0] | {"role": "assistant"}}, "stopReason": "end_turn"}

SIZES: dict[str, Callable[[ModuleType], bytes]] = {
    "line_20_mb": lambda zoo: zoo.specimens()["line_20_mb"],
    "bomb_1_gib": lambda zoo: zoo.bomb(1024 * MIB),
    "bomb_over_1_gib": lambda zoo: zoo.bomb(1025 * MIB),
    "keys_100k": lambda zoo: zoo.specimens()["keys_100k"],
    "body_string_turns_99k": lambda zoo: zoo._packed(
        zoo._with_bodies(json.dumps({"messages": TURN * 99_000}), json.dumps(CONVERSED))
    ),
    "line_of_quotes": _of(b'"'),
    "line_of_escapes": _of(b'\\"'),
    "line_of_brackets": _of(b"["),
    "line_of_commas": _of(b"0,"),
    "line_of_objects": _of(b'{"":{}},'),
}


def measure(path: Path) -> None:
    """Read one object in this process and print what came of it, as JSON."""
    raw = path.read_bytes()
    outcomes(b"")
    idle, start = peak_mib(), perf_counter()
    counts = dict(Counter(outcomes(raw)))
    facts = {"bytes": len(raw), "seconds": perf_counter() - start, "idle": idle, "peak": peak_mib()}
    sys.stdout.write(json.dumps(facts | {"told": counts}) + "\n")


def sizes() -> bool:
    """Read each large object in a fresh process; whether all stayed within `MAX_PEAK_MIB`."""
    is_within = True
    sys.stdout.write(f"{'':24}{'packed bytes':>14}{'seconds':>9}{'peak MiB':>10}{'idle':>6}\n")
    with TemporaryDirectory(prefix="sluice-fuzz-") as folder:
        for name in SIZES:
            path = Path(folder) / name
            _again("--make", name, "--file", path)
            facts = json.loads(_again("--measure", "--file", path))
            is_within &= facts["peak"] <= MAX_PEAK_MIB
            row = f"{facts['bytes']:14,}{facts['seconds']:9.1f}{facts['peak']:10.0f}"
            row += f"{facts['idle']:6.0f}"
            sys.stdout.write(f"{name:24}{row}  {facts['told']}\n")
    return is_within


def _again(*arguments: str | Path) -> str:
    """What a fresh process of this file prints; started from a small one, its peak is its own."""
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="K")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--make", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        options.file.write_bytes(large(options.make))
    elif options.measure:
        measure(options.file)
    elif options.sizes:
        sys.exit(0 if sizes() else 1)
    else:
        numbers = (
            range(options.lines) if options.only is None else range(options.only, options.only + 1)
        )
        sys.exit(0 if fuzz(options.seed, numbers) else 1)


if __name__ == "__main__":
    main()
