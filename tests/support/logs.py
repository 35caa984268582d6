"""Synthetic log records of every dialect, log objects, and frames of rows."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms.tables import EXCHANGES, TEXT_COLUMNS

Json = dict[str, Any]

REGION = "AWSLogs/111122223333/BedrockModelInvocationLogs/us-east-1"
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
MODELS = {
    "converse": ("Converse", "us.amazon.nova-lite-v1:0"),
    "anthropic_messages": ("InvokeModel", "anthropic.claude-3-haiku-20240307-v1:0"),
    "chat_completions": ("ChatCompletions", "openai.gpt-oss-120b-1:0"),
}


def encode_bodies(
    dialect: str, messages: Sequence[Json], response: Json, tools: Sequence[Json] = ()
) -> tuple[Json, Json]:
    """A conversation of OpenAI chat messages, as the two bodies that `dialect` would log."""
    return _ENCODERS[dialect](list(messages), response, list(tools))


def _converse(messages: list[Json], response: Json, tools: list[Json]) -> tuple[Json, Json]:
    request: Json = {"messages": _turns(messages, _converse_blocks)}
    if system := _system(messages):
        request["system"] = [{"text": text} for text in system]
    if tools:
        specs = [
            {
                "name": f["name"],
                "description": f["description"],
                "inputSchema": {"json": f["parameters"]},
            }
            for f in (tool["function"] for tool in tools)
        ]
        request["toolConfig"] = {"tools": [{"toolSpec": spec} for spec in specs]}
    message = {"role": "assistant", "content": _converse_blocks(response)}
    reply = {"output": {"message": message}, "stopReason": "end_turn", "usage": {"totalTokens": 9}}
    return request, reply


def _converse_blocks(message: Json) -> list[Json]:
    if message["role"] == "tool":
        content = [{"text": message["content"]}]
        return [{"toolResult": {"toolUseId": message["tool_call_id"], "content": content}}]
    calls = [
        {
            "toolUse": {
                "toolUseId": call["id"],
                "name": call["function"]["name"],
                "input": json.loads(call["function"]["arguments"]),
            }
        }
        for call in message.get("tool_calls", ())
    ]
    return [*({"text": t} for t in _texts(message)), *calls]


def _anthropic(messages: list[Json], response: Json, tools: list[Json]) -> tuple[Json, Json]:
    request: Json = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 512}
    request["messages"] = _turns(messages, _anthropic_blocks)
    if system := _system(messages):
        request["system"] = "\n".join(system)
    if tools:
        request["tools"] = [
            {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
            for f in (tool["function"] for tool in tools)
        ]
    reply = {
        "type": "message",
        "role": "assistant",
        "content": _anthropic_blocks(response),
        "stop_reason": "end_turn",
    }
    return request, reply


def _anthropic_blocks(message: Json) -> list[Json]:
    if message["role"] == "tool":
        result = {"tool_use_id": message["tool_call_id"], "content": message["content"]}
        return [{"type": "tool_result", **result}]
    calls = [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": json.loads(call["function"]["arguments"]),
        }
        for call in message.get("tool_calls", ())
    ]
    return [*({"type": "text", "text": t} for t in _texts(message)), *calls]


def _chat(messages: list[Json], response: Json, tools: list[Json]) -> tuple[Json, Json]:
    request: Json = {"model": "openai.gpt-oss-120b-1:0", "messages": messages, "stream": False}
    if tools:
        request["tools"] = tools
    choice = {"index": 0, "message": response, "finish_reason": "stop"}
    return request, {"object": "chat.completion", "choices": [choice]}


def _turns(messages: list[Json], blocks: Callable[[Json], list[Json]]) -> list[Json]:
    """Turns of user and assistant; results of tools stand in the user's turn, before its text."""
    speakers = {"user": "user", "tool": "user", "assistant": "assistant"}
    spoken = [m for m in messages if m["role"] != "system"]
    return [
        {"role": speaker, "content": [block for message in turn for block in blocks(message)]}
        for speaker, turn in groupby(spoken, key=lambda m: speakers[m["role"]])
    ]


def _system(messages: list[Json]) -> list[str]:
    return [m["content"] for m in messages if m["role"] == "system"]


def _texts(message: Json) -> list[str]:
    return [] if message["content"] is None else [message["content"]]


_ENCODERS = {
    "converse": _converse,
    "anthropic_messages": _anthropic,
    "chat_completions": _chat,
}


Cut = Callable[[str], list[str]]


def stream_reply(dialect: str, reply: Json, rng: Random) -> list[Json | str]:
    """The reply of `encode_bodies`, as the chunks that `dialect` would log, cut anywhere."""

    def cut(text: str) -> list[str]:
        ends = sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 4)))
        return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]

    return list(_STREAMERS[dialect](reply, cut))


def _converse_events(reply: Json, cut: Cut) -> Iterator[Json | str]:
    """As Nova does it, each piece of text is a block of its own."""
    yield {"messageStart": {"role": "assistant"}}
    index = 0
    for block in reply["output"]["message"]["content"]:
        if call := block.get("toolUse"):
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
        for piece in cut(json.dumps(call["input"]) if call else block["text"]):
            delta: Json = {"toolUse": {"input": piece}} if call else {"text": piece}
            yield {"contentBlockDelta": {"delta": delta, "contentBlockIndex": index}}
            index += 0 if call else 1
        yield {"contentBlockStop": {"contentBlockIndex": index}}
        index += 1
    yield {"messageStop": {"stopReason": reply["stopReason"]}}
    yield {"metadata": {"usage": {"totalTokens": 9}, "metrics": {}, "trace": {}}}


def _anthropic_events(reply: Json, cut: Cut) -> Iterator[Json | str]:
    yield {"type": "message_start", "message": reply | {"content": [], "stop_reason": None}}
    yield {"type": "ping"}
    for index, block in enumerate(reply["content"]):
        is_call = block["type"] == "tool_use"
        empty: Json = {"input": {}} if is_call else {"text": ""}
        yield {"type": "content_block_start", "index": index, "content_block": block | empty}
        for piece in cut(json.dumps(block["input"]) if is_call else block["text"]):
            json_delta = {"type": "input_json_delta", "partial_json": piece}
            delta = json_delta if is_call else {"type": "text_delta", "text": piece}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": reply["stop_reason"]}}
    yield {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"outputTokenCount": 9}}


def _chat_chunks(reply: Json, cut: Cut) -> Iterator[Json | str]:
    (choice,) = reply["choices"]
    message = choice["message"]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for text in _texts(message) for piece in cut(text)]
    for index, call in enumerate(message.get("tool_calls", ())):
        open_context = call | {"function": {"name": call["function"]["name"], "arguments": ""}}
        pieces = [{"function": {"arguments": p}} for p in cut(call["function"]["arguments"])]
        deltas += [{"tool_calls": [{"index": index, **each}]} for each in (open_context, *pieces)]
    ends = [*((delta, None) for delta in deltas), ({}, choice["finish_reason"])]
    for delta, end in ends:
        part = {"index": 0, "delta": delta, "finish_reason": end}
        yield {"object": "chat.completion.chunk", "choices": [part], "obfuscation": "x7"}
    yield {"object": "chat.completion.chunk", "choices": [], "usage": {"total_tokens": 9}}
    yield "[DONE]"


_STREAMERS = {
    "converse_events": _converse_events,
    "anthropic_stream": _anthropic_events,
    "chat_chunks": _chat_chunks,
}


def make_record(
    dialect: str = "converse",
    *,
    ask: str = "What is 6 times 7? End with #### and the number.",
    reply: str = "6 times 7 is 42.\n#### 42",
    system: str = "",
    request_id: str = "request-1",
    at: datetime = NOON,
    metadata: Mapping[str, str] | None = None,
    bodies: tuple[object, object] | None = None,
    **envelope: object,
) -> Json:
    """One log record of a question and its answer; `envelope` sets further fields, by their name.

    A field that is set to None is left out.
    """
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": ask})
    reply_message = {"role": "assistant", "content": reply}
    request, response = bodies or encode_bodies(dialect, messages, reply_message)
    operation, model = MODELS[dialect]
    record: Json = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "accountId": "111122223333",
        "identity": {"arn": "arn:aws:iam::111122223333:role/app"},
        "region": "us-east-1",
        "requestId": request_id,
        "operation": operation,
        "modelId": model,
        "input": {"inputContentType": "application/json", "inputBodyJson": request},
        "output": {"outputContentType": "application/json", "outputBodyJson": response},
        "requestMetadata": metadata,
        **envelope,
    }
    return {name: value for name, value in record.items() if value is not None}


def make_object(records: Sequence[Json | bytes]) -> bytes:
    """A log object: gzip of one JSON object a line; a line given as bytes stays as it is."""
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    return gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0)


_EXCHANGE: Json = {
    "timestamp": NOON,
    "model_id": "us.amazon.nova-lite-v1:0",
    "operation": "Converse",
    "object": "log.json.gz",
    "stop_reason": "end_turn",
    "dialect": "converse",
    "prompt_tokens": 20,
    "has_media": False,
    "has_prompt": True,
    "has_blank_turn": False,
    "has_response": True,
    "is_user_last": True,
    "is_single_turn": True,
    "label": None,
    "has_good_response": True,
}


def make_exchanges(rows: Sequence[Json]) -> pl.DataFrame:
    """Exchanges without their text, good where a row says nothing else; row n is request `r<n>`."""
    schema = pa.schema([field for field in EXCHANGES if field.name not in TEXT_COLUMNS])
    full = [
        {**_EXCHANGE, "request_id": f"r{n}", "line": n, "prompt_digest": f"digest-{n}", **row}
        for n, row in enumerate(rows, start=1)
    ]
    for row in full:
        if isinstance(row.get("request_metadata"), dict):
            row["request_metadata"] = list(row["request_metadata"].items())
    marks = pl.DataFrame(full, schema={"label": pl.String, "has_good_response": pl.Boolean})
    return pl.DataFrame(pa.Table.from_pylist(full, schema=schema)).hstack(marks)


def make_records(number: int, start: datetime = NOON) -> list[Json]:
    """Records that differ in id, time, question and answer; dialects take turns."""
    dialects = list(MODELS)
    return [
        make_record(
            dialects[n % len(dialects)],
            ask=f"What is {n} plus {n}? End with #### and the number.",
            reply=f"#### {2 * n}",
            request_id=f"request-{n}",
            at=start + timedelta(seconds=n),
        )
        for n in range(number)
    ]


def write_logs(
    folder: Path, objects: Sequence[Sequence[Json | bytes] | bytes], hour: str = "2026/10/01/12"
) -> None:
    """Write records, or the bytes of whole objects, as log objects in Bedrock's layout."""
    for number, content in enumerate(objects):
        raw = content if isinstance(content, bytes) else make_object(content)
        stamp = hour.replace("/", "")
        name = f"{stamp[:8]}T{stamp[8:]}0000000Z_{number:016x}.json.gz"
        path = folder / REGION / hour / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
