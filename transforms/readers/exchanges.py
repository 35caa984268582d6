"""Two logged bodies to one exchange: their shape tells the dialect, whose reader reads them."""

from typing import Any

import msgspec

from bedrock_sluice.transforms.chat.messages import (
    BROKEN_OFF,
    UNFINISHED,
    UNSTATED,
    CallFailed,
    ContextLost,
    Exchange,
    Unreadable,
)
from bedrock_sluice.transforms.decode.json_limits import (
    MAX_BODY_KEYS,
    check_limits,
    has_lone_surrogate,
)
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers import guardrail
from bedrock_sluice.transforms.readers.fast_path import read_plain_bodies
from bedrock_sluice.transforms.readers.fingerprint import fingerprint
from bedrock_sluice.transforms.readers.lost_context import is_managed_prompt, refuse_lost_context
from bedrock_sluice.transforms.readers.non_text_calls import no_text_reason
from bedrock_sluice.transforms.readers.registry import find_reader
from bedrock_sluice.transforms.reasons import Reason

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_Row = dict[str, Any]


def read_exchange(row: _Row) -> tuple[str, Exchange]:
    """The dialect and the exchange of one landed row.

    Raises:
        InputError: there is none: the row has a reason already, the call failed, its bodies are
            not there, or no reader knows their shape.
    """
    _screen(row)
    request, response = row["input_body"], row["output_body"]
    plain = read_plain_bodies(request, response)
    return plain or read_bodies(request.encode(), response.encode())


def _screen(row: _Row) -> None:
    """Refuse records whose envelope alone tells that there is nothing to read."""
    if row.get("reason"):
        raise InputError(row["reason"], row.get("detail") or "")
    if row["error_code"]:
        raise InputError(Reason.CURATE_ERROR)
    if is_managed_prompt(row["model_id"]):
        raise InputError(Reason.CURATE_INCOMPLETE_PROMPT, "a managed prompt")
    if row["input_body"] is not None and row["output_body"] is not None:
        return
    side = "input" if row["input_body"] is None else "output"
    if row[f"{side}_body_uri"] is not None:
        raise InputError(Reason.PULL_BODY_MISSING, f"the {side} body is stored apart")
    raise InputError(Reason.CURATE_NO_BODY, side)


def read_bodies(request: bytes, response: bytes) -> tuple[str, Exchange]:
    """The dialect and the exchange of two logged bodies (JSON, UTF-8).

    Raises:
        InputError: no reader knows their shape, or they are over a limit.
    """
    request, response = _unwrap(request), _unwrap(response)
    check_limits(request, MAX_BODY_KEYS)
    check_limits(response, MAX_BODY_KEYS)
    try:
        request_body, response_body = _OBJECT.decode(request), _ANY.decode(response)
        reader = find_reader(request_body, response_body)
        if reader is None:
            raise InputError(
                no_text_reason(request_body, response_body) or Reason.DECODE_UNKNOWN_SHAPE
            )
        refuse_lost_context(request_body)
        exchange = reader.read(request, response)
    except ContextLost as error:
        raise InputError(Reason.CURATE_INCOMPLETE_PROMPT, str(error)) from None
    except CallFailed as error:
        raise InputError(Reason.CURATE_ERROR, str(error)) from None
    except Unreadable as error:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, str(error)) from None
    except msgspec.ValidationError:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, "a field of another type") from None
    except ValueError:  # a body that was text, or stood apart, and is no JSON
        if has_lone_surrogate(request) or has_lone_surrogate(response):
            raise InputError(Reason.DECODE_BAD_ENCODING, "half of a surrogate pair") from None
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, "a body that is no JSON") from None
    except RecursionError:
        raise InputError(Reason.DECODE_TOO_DEEP) from None
    if isinstance(response_body, list) and exchange.stop_reason in {UNFINISHED, UNSTATED}:
        exchange.stop_reason = BROKEN_OFF
    # Last, since it decides: Converse logs no other stop reason of a call that was intervened in.
    exchange.stop_reason = guardrail.verdict(response_body) or exchange.stop_reason
    return reader.DIALECT, exchange


def _unwrap(body: bytes) -> bytes:
    """Some writers log a body as a JSON string that holds JSON."""
    if not body.startswith(b'"'):
        return body
    try:
        return _STRING.decode(body).encode()
    except ValueError:
        raise InputError(Reason.DECODE_UNKNOWN_SHAPE, "a body that is a string") from None


def rejected_row(row: _Row, error: InputError) -> _Row:
    """The keys of a landed row that gave no exchange, with the reason."""
    keys = {name: row.get(name) for name in ("object", "line", "request_id")}
    detail = error.detail
    if error.reason == Reason.DECODE_UNKNOWN_SHAPE:
        shape = fingerprint(row["input_body"].encode(), row["output_body"].encode())
        detail = f"{detail}: {shape}" if detail else shape
    return keys | {"reason": str(error.reason), "detail": detail or None}
