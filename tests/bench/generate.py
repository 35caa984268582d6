"""Makes up Bedrock invocation logs for the benchmark: for one number of records, the same bytes.

    python tests/bench/generate.py FOLDER RECORDS [DAYS]

Writes gzip objects in Bedrock's layout below FOLDER/AWSLogs, one for each hour: 500 records in
each, or, with DAYS, the same share of the records in each hour of these days. A third of the
records is in each of three dialects, about 2.5 KB a record. Of 100 records 27 carry `env: prod`, 5
repeat an earlier question, 8 repeat one with a few words changed, and one holds an address or a
key. Prints what it wrote as JSON.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import Any

SEED = 20_261_001
START = datetime(2026, 10, 1, tzinfo=UTC)
RECORDS_PER_OBJECT = 500  # each object is an hour of its own
HOUR_SECONDS = 3_600
WORDS = 20_000
COMMON_WORDS = 100  # the higher, the less the text repeats itself: packed, about a third is left
SYSTEM_WORDS, HISTORY_WORDS, QUESTION_WORDS, ANSWER_WORDS = 55, 40, 75, 65
SELECTED = 27  # of 100 records
EXACT_REPEATS, NEAR_REPEATS = range(20, 25), range(11, 19)  # the last two digits of their numbers
PRIVATE = (1,)
CHANGED_WORDS = 3
REMEMBERED = 2_000  # prompts that may be repeated

Json = dict[str, Any]


class Writer:
    """Texts of made-up words, frequent ones more often, as language has it."""

    def __init__(self) -> None:
        self._random = Random(SEED)
        self._words = [self._word(n) for n in range(WORDS)]
        self._weights = list(accumulate(1 / (rank + COMMON_WORDS) for rank in range(WORDS)))
        self.system = self.text(SYSTEM_WORDS)
        self._earlier = list[tuple[str, str, str]]()

    def _word(self, number: int) -> str:
        """Some words end a line, stand in quotes or are not ASCII: JSON treats those apart."""
        word = "".join(self._random.choices(ascii_lowercase, k=2 + number % 6))
        if number % 12 == 7:
            return f"{word}.\n"
        if number % 30 == 11:
            return f'"{word}"'
        return f"{word}é" if number % 40 == 23 else word

    def text(self, words: int) -> str:
        """A text of so many words."""
        return " ".join(self._random.choices(self._words, cum_weights=self._weights, k=words))

    def turns(self, number: int) -> tuple[str, str, str, str]:
        """What user and assistant said in turn; the number makes no two new prompts the same."""
        kind = number % 100
        if kind in EXACT_REPEATS and self._earlier:
            first, second, question = self._earlier[number % len(self._earlier)]
        elif kind in NEAR_REPEATS and self._earlier:
            first, second, question = self._earlier[number % len(self._earlier)]
            words = question.split(" ")
            words[:CHANGED_WORDS] = self.text(CHANGED_WORDS).split(" ")
            question = " ".join(words)
        else:
            first, second = self.text(HISTORY_WORDS), self.text(HISTORY_WORDS)
            question = f"{self.text(QUESTION_WORDS)} {number}? Answer after ANSWER:"
            if kind in PRIVATE:
                question = f"I am user{number}@example.com, AKIA{number:016d}. {question}"
            self._earlier.append((first, second, question))
            del self._earlier[:-REMEMBERED]
        return first, second, question, f"{self.text(ANSWER_WORDS)}\nANSWER: {number * 7}"


def converse(system: str, turns: tuple[str, ...]) -> tuple[Json, Json]:
    """Bodies of a Converse call."""
    *messages, answer = [
        {"role": role, "content": [{"text": text}]} for role, text in _spoken(turns)
    ]
    usage = {"inputTokens": 512, "outputTokens": 128, "totalTokens": 640}
    response = {"output": {"message": answer}, "stopReason": "end_turn", "usage": usage}
    return {"messages": messages, "system": [{"text": system}]}, response


def anthropic(system: str, turns: tuple[str, ...]) -> tuple[Json, Json]:
    """Bodies of an Anthropic Messages call through InvokeModel."""
    *messages, answer = [{"role": role, "content": text} for role, text in _spoken(turns)]
    request = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1024}
    content = [{"type": "text", "text": answer["content"]}]
    response = {"type": "message", "role": "assistant", "stop_reason": "end_turn"}
    return request | {"system": system, "messages": messages}, response | {"content": content}


def chat_completions(system: str, turns: tuple[str, ...]) -> tuple[Json, Json]:
    """Bodies of an OpenAI chat completion."""
    *turn_messages, answer = [{"role": role, "content": text} for role, text in _spoken(turns)]
    choice = {"index": 0, "message": answer, "finish_reason": "stop"}
    messages = [{"role": "system", "content": system}, *turn_messages]
    return {"messages": messages}, {"object": "chat.completion", "choices": [choice]}


def _spoken(turns: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("assistant" if n % 2 else "user", text) for n, text in enumerate(turns)]


DIALECTS = (
    ("Converse", "us.amazon.nova-lite-v1:0", converse),
    ("InvokeModel", "anthropic.claude-3-haiku-20240307-v1:0", anthropic),
    ("ChatCompletions", "openai.gpt-oss-20b-1:0", chat_completions),
)


def record(writer: Writer, number: int, seconds: int) -> Json:
    """One invocation log record, of so many seconds after the first."""
    operation, model, bodies = DIALECTS[number % len(DIALECTS)]
    request, response = bodies(writer.system, writer.turns(number))
    at = START + timedelta(seconds=seconds)
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "accountId": "111122223333",
        "identity": {"arn": "arn:aws:sts::111122223333:assumed-role/app/worker"},
        "region": "us-east-1",
        "requestId": f"00000000-0000-4000-8000-{number:012x}",
        "operation": operation,
        "modelId": model,
        "requestMetadata": {
            "project": "bench",
            "team": f"team-{number % 10}",
            "env": "prod" if number % 100 < SELECTED else "dev",
        },
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": request,
            "inputTokenCount": 512,
        },
        "output": {
            "outputContentType": "application/json",
            "outputBodyJson": response,
            "outputTokenCount": 128,
        },
    }


def line(value: Json) -> str:
    """One line of JSON, in UTF-8 as Bedrock writes it, not in escapes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"


def objects(records: int, hours: int) -> Iterator[tuple[str, bytes]]:
    """Key and decompressed bytes of each log object."""
    writer = Writer()
    for hour in range(hours):
        numbers = range(hour * records // hours, (hour + 1) * records // hours)
        seconds = (number * hours * HOUR_SECONDS // records for number in numbers)
        raw = "".join(line(record(writer, *each)) for each in zip(numbers, seconds, strict=True))
        at = START + timedelta(hours=hour, minutes=55)  # within its hour, so that days are whole
        folder = f"AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1/{at:%Y/%m/%d/%H}"
        yield f"{folder}/{at:%Y%m%dT%H%M%S}000Z_{numbers.start:016x}.json.gz", raw.encode()


def write_logs(folder: Path, records: int, days: int | None) -> dict[str, int]:
    """Write the objects below a folder; returns how many, and their bytes."""
    hours = 24 * days if days else -(-records // RECORDS_PER_OBJECT)
    totals = {"records": records, "objects": 0, "raw_bytes": 0, "gzip_bytes": 0}
    for key, raw in objects(records, hours):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        gzip_bytes = gzip.compress(raw, compresslevel=6, mtime=0)
        path.write_bytes(gzip_bytes)
        totals["objects"] += 1
        totals["raw_bytes"] += len(raw)
        totals["gzip_bytes"] += len(gzip_bytes)
    return totals


if __name__ == "__main__":
    days = int(sys.argv[3]) if len(sys.argv) > 3 else None
    sys.stdout.write(json.dumps(write_logs(Path(sys.argv[1]), int(sys.argv[2]), days)) + "\n")
