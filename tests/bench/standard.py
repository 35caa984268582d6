"""The loop of `sluice convert` as it would be written with `json` and `gzip` alone.

It reads the three dialects that the benchmark logs, does the same for each record, and writes the
same lines; `run.py` compares them before it compares the seconds.
"""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

REASONING = re.compile(r"\s*<(reasoning|thinking|think)>(.*?)</\1>\s*", re.DOTALL)
STOP_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}


def convert(paths: Iterator[Path], out: Path) -> int:
    """Convert the log objects into one file of chat lines; returns how many there are."""
    records = 0
    with out.open("w", encoding="utf-8") as file:
        for path in paths:
            with gzip.open(path, "rt", encoding="utf-8") as log:
                for line in log:
                    training_line = _line(line)
                    if training_line is not None:
                        file.write(training_line)
                        records += 1
    return records


def _line(line: str) -> str | None:
    try:
        record = json.loads(line)
        if record.get("schemaType") != "ModelInvocationLog" or "errorCode" in record:
            return None
        row = _row(record)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def _row(record: Json) -> Json:
    request, response = record["input"]["inputBodyJson"], record["output"]["outputBodyJson"]
    answer, stop = _answer(response)
    if "guardrail" in json.dumps(response.get("amazon-bedrock-guardrailAction", "")):
        stop = "guardrail_intervened"
    return {
        "request_id": str(record["requestId"]),
        "timestamp": str(record["timestamp"]),
        "model_id": record.get("modelId"),
        "operation": record.get("operation"),
        "messages": [*_system(request), *_messages(request["messages"])],
        "response": _message(answer),
        "tools": request.get("tools", []),
        "stop_reason": STOP_REASONS.get(stop, stop),
        "request_metadata": record.get("requestMetadata") or {},
    }


def _answer(response: Json) -> tuple[Json, str]:
    if "choices" in response:
        return response["choices"][0]["message"], response["choices"][0]["finish_reason"]
    if "output" in response:
        return response["output"]["message"], response["stopReason"]
    return response, response["stop_reason"]


def _system(request: Json) -> list[Json]:
    system = request.get("system")
    if not system:
        return []
    text = system if isinstance(system, str) else "\n".join(block["text"] for block in system)
    return [{"role": "system", "content": text}] if text.strip() else []


def _messages(log_messages: list[Json]) -> Iterator[Json]:
    for message in log_messages:
        if message["role"] not in {"system", "user", "assistant", "tool"}:
            raise ValueError(message["role"])
        yield _message(message)


def _message(log_messages: Json) -> Json:
    role, content = log_messages["role"], log_messages["content"]
    if isinstance(content, list):
        if any("image" in block or "document" in block for block in content):
            raise ValueError("media")
        joint = "" if role == "assistant" else "\n"
        content = joint.join(block["text"] for block in content)
    if role == "assistant":
        while match := REASONING.match(content):
            content = content[match.end() :]
    return {"role": role, "content": content}
