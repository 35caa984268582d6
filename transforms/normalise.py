"""Landed records to exchanges: the bodies of any dialect become OpenAI chat messages."""

import unicodedata
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import polars as pl
import pyarrow as pa

from bedrock_sluice.transforms import guardrail
from bedrock_sluice.transforms.chat import Exchange, Message, Unreadable, is_telling
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.fingerprint import fingerprint
from bedrock_sluice.transforms.json_limits import MAX_BODY_KEYS, check_limits, has_lone_surrogate
from bedrock_sluice.transforms.no_text import no_text_reason
from bedrock_sluice.transforms.readers import find_reader
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import EXCHANGES
from bedrock_sluice.transforms.tokens import estimate_tokens

PROMPT_DIGEST_BYTES = 16
HELD_WORDS = 1 << 18  # of one text, as objects of their own: some 60 bytes each

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_Row = dict[str, Any]


class Normalised(NamedTuple):
    """Exchanges (schema `tables.EXCHANGES`) and the rows that gave none, with their reason."""

    exchanges: pa.Table
    rejected: pl.DataFrame


def normalise(landed: pa.Table, *, keep_reasoning: bool = False) -> Normalised:
    """Read each landed row (schema `tables.LANDED`) into an exchange, or reject it.

    Reasoning goes to a column of its own, and with `keep_reasoning` stays in the response too.
    """
    kept, rejected = list[_Row](), list[_Row]()
    for row in landed.to_pylist():
        try:
            kept.append(_exchange_row(row, keep_reasoning))
        except InputError as error:
            rejected.append(rejected_row(row, error))
    columns = {name: [row[name] for row in kept] for name in EXCHANGES.names}
    schema = dict.fromkeys(("object", "request_id", "reason", "detail"), pl.String)
    return Normalised(
        pa.table(columns, schema=EXCHANGES),
        pl.DataFrame(rejected, schema=schema | {"line": pl.UInt32}),
    )


def rejected_row(row: _Row, error: InputError) -> _Row:
    """The keys of a landed row that gave no exchange, with the reason."""
    keys = {name: row.get(name) for name in ("object", "line", "request_id")}
    detail = error.detail
    if error.reason == Reason.DECODE_UNKNOWN_SHAPE:
        detail = fingerprint(row["input_body"].encode(), row["output_body"].encode())
    return keys | {"reason": str(error.reason), "detail": detail or None}


def _exchange_row(row: _Row, keep_reasoning: bool) -> _Row:
    dialect, exchange = read_exchange(row)
    judged = _judged(exchange)
    if keep_reasoning and exchange.reasoning:
        told = exchange.response.content or ""
        exchange.response.content = f"<reasoning>{exchange.reasoning}</reasoning>{told}"
    return row | {
        "messages": _json(exchange.messages),
        "response": _json(exchange.response),
        "tools": _json(exchange.tools) if exchange.tools else None,
        "reasoning": exchange.reasoning or None,
        "stop_reason": exchange.stop_reason,
        "dialect": dialect,
        "has_media": exchange.has_media,
        **judged,
    }


def read_exchange(row: _Row) -> tuple[str, Exchange]:
    """The dialect and the exchange of one landed row.

    Raises:
        InputError: there is none: the row has a reason already, the call failed, its bodies are
            not there, or no reader knows their shape.
    """
    _screen(row)
    return read_bodies(row["input_body"].encode(), row["output_body"].encode())


def _screen(row: _Row) -> None:
    """Refuse records whose envelope alone tells that there is nothing to read."""
    if row.get("reason"):
        raise InputError(row["reason"], row.get("detail") or "")
    if row["error_code"]:
        raise InputError(Reason.CURATE_ERROR)
    for side in ("input", "output"):
        if row[f"{side}_body"] is None:
            apart = row[f"{side}_body_uri"] is not None
            reason = Reason.PULL_BODY_MISSING if apart else Reason.CURATE_NO_BODY
            raise InputError(reason, f"the {side} body is stored apart" if apart else side)


def read_bodies(request: bytes, response: bytes) -> tuple[str, Exchange]:
    """The dialect and the exchange of two logged bodies (JSON, UTF-8).

    Raises:
        InputError: no reader knows their shape, or they are over a limit.
    """
    request, response = _unwrapped(request), _unwrapped(response)
    check_limits(request, MAX_BODY_KEYS)
    check_limits(response, MAX_BODY_KEYS)
    try:
        asked, answered = _OBJECT.decode(request), _ANY.decode(response)
        reader = find_reader(asked, answered)
        if reader is None:
            raise InputError(no_text_reason(asked, answered) or Reason.DECODE_UNKNOWN_SHAPE)
        exchange = reader.read(request, response)
    except Unreadable as error:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, str(error)) from None
    except msgspec.ValidationError:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, "a field of another type") from None
    except ValueError:  # a body that was text, or stood apart, and is no JSON
        raise _no_json(request, response) from None
    except RecursionError:
        raise InputError(Reason.DECODE_TOO_DEEP) from None
    exchange.stop_reason = guardrail.verdict(answered) or exchange.stop_reason
    return reader.DIALECT, exchange


def _no_json(*bodies: bytes) -> InputError:
    if any(map(has_lone_surrogate, bodies)):
        return InputError(Reason.DECODE_BAD_ENCODING, "half of a surrogate pair")
    return InputError(Reason.DECODE_UNKNOWN_SHAPE, "a body that is no JSON")


def _unwrapped(body: bytes) -> bytes:
    """Some writers log a body as a JSON string that holds JSON."""
    if not body.startswith(b'"'):
        return body
    try:
        return _STRING.decode(body).encode()
    except ValueError:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, "a body that is a string") from None


def _judged(exchange: Exchange) -> _Row:
    """What curation needs to know of an exchange, so that it need not read its text again."""
    messages, response = exchange.messages, exchange.response
    asked = [m for m in messages if m.role == "user" and (m.content or "").strip()]
    return {
        "prompt_digest": _prompt_digest(exchange),
        "prompt_tokens": estimate_tokens(messages, exchange.tools),
        "has_prompt": bool(asked),
        "has_blank_turn": not all(is_telling(message) for message in messages),
        "has_response": bool(response.tool_calls or (response.content or "").strip()),
        "is_user_last": bool(messages) and messages[-1].role == "user",
        "is_single_turn": [m.role for m in messages if m.role != "system"] == ["user"],
    }


def _prompt_digest(exchange: Exchange) -> str:
    """Digest of the prompt after normalising Unicode (NFC) and runs of blanks."""
    state = blake2b(digest_size=PROMPT_DIGEST_BYTES)
    for message in exchange.messages:
        state.update(_json([message.role, _plain(message), message.tool_calls]).encode())
    state.update(_json(exchange.tools).encode())
    return state.hexdigest()


def _plain(message: Message) -> str:
    """The text, composed, each run of blanks as one; of a long text, not all words are held."""
    pieces, rest = list[str](), unicodedata.normalize("NFC", message.content or "")
    while rest:
        words = rest.split(None, HELD_WORDS)
        rest = words.pop() if len(words) > HELD_WORDS else ""
        pieces.append(" ".join(words))
    return " ".join(pieces)


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
