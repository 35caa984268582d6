"""Personal data and secrets in text: finding them, counting them, and masking them.

What is found depends on the text alone, and a mask on the value and a key alone: the order of
records, the machine, and what was seen before change nothing.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache, partial
from hashlib import blake2b
from itertools import compress
from typing import Any

import msgspec
import numpy as np
import polars as pl

from bedrock_sluice.transforms.decode.json_limits import check_limits
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.privacy import personal_data_kinds, secret_kinds
from bedrock_sluice.transforms.privacy.detectors import Detector, Finding
from bedrock_sluice.transforms.privacy.kinds import KINDS

DETECTORS: tuple[Detector, ...] = secret_kinds.DETECTORS + personal_data_kinds.DETECTORS
"""Another detector has its place here, and its kind in `privacy.kinds`."""

FINDING_COUNTS = pl.Schema(dict.fromkeys(KINDS, pl.UInt32))
SUSPICIONS = pl.Schema({detector.name: pl.Boolean() for detector in DETECTORS})

MASK_DIGITS = 6  # hexadecimal
_MAX_PASSES = 16  # of a text that was made to need them

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_MASK = re.compile(rf"\[(?:{'|'.join(kind.upper() for kind in KINDS)})_[0-9a-f]{{{MASK_DIGITS}}}\]")
# JSON text may hold JSON text: there, each level doubles the backslashes.
_ESCAPE = re.compile(r"""\\++(?:u[0-9a-fA-F]{4}|[nrtbf]|(?P<quote>["'/]))?""")
_ESCAPES = (
    *((f"\\{each}", "\n\n") for each in "nrtbf"),
    *((f"\\{each}", each * 2) for each in "\"'/"),
)


def find_personal_data(text: str, detectors: Sequence[Detector] = DETECTORS) -> list[Finding]:
    """What there is, in the order of the text, without overlaps.

    Of findings that overlap, the kind that stands first in `KINDS` wins (it says most), then the
    longest, then the first. Text may be JSON, or JSON in a string of JSON: its escapes part words.
    """
    plain, masks = _plain_view(text)
    findings = [each for detector in detectors for each in detector.find(plain)]
    if not findings:
        return findings
    taken_chars = bytearray(len(text))  # a flag for each char
    for start, end in masks:
        taken_chars[start:end] = b"\1" * (end - start)
    kept = []
    for each in sorted(findings, key=lambda f: (_RANK[f.kind], f.start - f.end, f.start)):
        if not any(taken_chars[each.start : each.end]):
            taken_chars[each.start : each.end] = b"\1" * (each.end - each.start)
            kept.append(each)
    return sorted(kept, key=lambda f: f.start)


def _plain_view(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text with as many chars, but without escapes and masks; and where the masks are.

    Escapes become line ends (quotes stay quotes), so that no value begins or ends within one.
    """
    if "\\" in text:
        text = _without_escapes(text)
    masks = [match.span() for match in _MASK.finditer(text)] if "[" in text else []
    if masks:
        text = _MASK.sub(lambda match: "x" * len(match[0]), text)
    return text, masks


def _without_escapes(text: str) -> str:
    if "\\\\" not in text:  # so each backslash stands for itself, and the usual ones go faster
        for escape, plain in _ESCAPES:
            text = text.replace(escape, plain)
    return _ESCAPE.sub(_without_escape, text) if "\\" in text else text


def _without_escape(match: re.Match[str]) -> str:
    return (match["quote"] or "\n") * len(match[0])


def screen_texts(texts: pl.Series) -> pl.DataFrame:
    """For each text, which detectors may find something in it: `SUSPICIONS`, without nulls.

    Holds too for strings in a JSON text: where no detector is named, none of them has a finding,
    and `mask_json` changes nothing. Reads a column in microseconds a text.
    """
    text = pl.lit(texts)
    return pl.select(
        text.str.contains(detector.prefilter).fill_null(value=False).alias(detector.name)
        for detector in DETECTORS
    )


def count_personal_data(texts: pl.Series) -> pl.DataFrame:
    """How many of each kind each text holds (`FINDING_COUNTS`), as `find_personal_data` finds them.

    The exact code runs in the few texts that `screen_texts` cannot clear.
    """
    suspicions = screen_texts(texts)
    rows = suspicions.select(pl.any_horizontal(pl.all()).arg_true()).to_series()
    counts = np.zeros((len(KINDS), len(texts)), np.uint32)
    suspects = suspicions.select(pl.all().gather(rows)).iter_rows()
    for row, text, flags in zip(rows, texts.gather(rows), suspects, strict=True):
        for each in find_personal_data(text, tuple(compress(DETECTORS, flags))):
            counts[_RANK[each.kind], row] += 1
    return pl.DataFrame(dict(zip(KINDS, counts, strict=True)), schema=FINDING_COUNTS)


def mask_personal_data(text: str, key: str, kinds: Collection[str] | None = None) -> str:
    """The text with each value of `kinds` (all, if None) as a mask like `[EMAIL_3f9a1c]`.

    The digits are a hash, with the `key`, of the value as it is without separators or case, so the
    same value has the same mask wherever it stands. Masks are never found, so masking twice is
    masking once.
    """
    return _mask_after("", text, key, kinds)


def _mask_after(
    lead: str,
    text: str,
    key: str,
    kinds: Collection[str] | None,
    detectors: Sequence[Detector] = DETECTORS,
) -> str:
    """The text masked as it is after the `lead`, which ends with a quote, or is empty.

    What stood too close to a value to be one may be one beside its mask; so it is read again, by
    all detectors, until nothing is found. That each time takes chars away, and hardly ever happens
    twice.
    """
    for number in range(_MAX_PASSES):
        readers = DETECTORS if number else detectors
        findings = find_personal_data(f'{lead}{text}"' if lead else text, readers)
        to_mask = [
            f for f in findings if f.start >= len(lead) and (kinds is None or f.kind in kinds)
        ]
        if not to_mask:
            break
        text = _mask_findings(text, to_mask, len(lead), key)
    return text


def _mask_findings(text: str, findings: Iterable[Finding], offset: int, key: str) -> str:
    pieces, end = [], 0
    for each in findings:
        start, stop = each.start - offset, each.end - offset
        pieces += [text[end:start], _mask(each.kind, text[start:stop], key)]
        end = stop
    return "".join([*pieces, text[end:]])


def _mask(kind: str, value: str, key: str) -> str:
    digest = blake2b(
        _canonical(kind, value).encode("utf-8", "surrogatepass"),
        key=_fixed_length(key),
        person=kind.encode(),
        digest_size=MASK_DIGITS // 2,
    )
    return f"[{kind.upper()}_{digest.hexdigest()}]"


@cache
def _fixed_length(key: str) -> bytes:
    return blake2b(key.encode()).digest()


def _canonical(kind: str, value: str) -> str:
    """The value as it is however it was written."""
    match kind:
        case "email":
            return value.lower()
        case "card" | "us_ssn":
            return re.sub(r"[^0-9]", "", value)
        case "phone":
            digits = re.sub(r"[^0-9]", "", value.replace("(0)", ""))
            return digits.removeprefix("00")
        case "iban":
            return re.sub(r"[^A-Za-z0-9]", "", value).upper()
        case "pem":
            return re.sub(r"\s|\\+[nrt]|\\", "", value)
        case _:
            return value


def mask_json(
    value: Any,
    key: str,
    kinds: Collection[str] | None = None,
    detectors: Sequence[Detector] = DETECTORS,
) -> Any:
    """A JSON value, at most `json_limits.MAX_JSON_DEPTH` deep, with its strings masked.

    Keys stay; a value is read beside its key, which may tell what it is. A whole number that is
    personal data becomes a string. Where a string is JSON text itself, it stays JSON text. The
    `detectors` are those that `screen_texts` does not rule out in the value's JSON text.
    """
    mask = partial(_mask_after, key=key, kinds=kinds, detectors=detectors)

    def mask_value(lead: str, value: Any) -> Any:
        match value:
            case dict():
                return {k: mask_value(f'"{k}": "', v) for k, v in value.items()}
            case list():
                return [mask_value("", each) for each in value]
            case str():
                return _keep_json(value, mask(lead, value), key, kinds)
            case int() if not isinstance(value, bool):
                result = mask(lead, str(value))
                return value if result == str(value) else result
            case _:
                return value

    return mask_value("", value)


def _keep_json(text: str, result: str, key: str, kinds: Collection[str] | None) -> str:
    """The `result` of masking a text, or what is JSON where the text was and the result is not."""
    if result == text or not text.lstrip().startswith(("{", "[")):
        return result
    value = _decode_json(text)
    if value is _NO_JSON or _decode_json(result) is not _NO_JSON:
        return result
    return msgspec.json.encode(mask_json(value, key, kinds)).decode()  # a bare number was masked


_NO_JSON = object()


def _decode_json(text: str) -> Any:
    try:
        check_limits(text.encode())
        return msgspec.json.decode(text)
    except (InputError, ValueError, RecursionError):
        return _NO_JSON
