"""Limits on JSON: exact at the boundary, whatever the text looks like, and never an exception."""

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bedrock_sluice.transforms.decode import json_limits
from bedrock_sluice.transforms.decode.json_limits import (
    MAX_BODY_KEYS,
    MAX_JSON_DEPTH,
    MAX_KEYS,
    check_limits,
    has_lone_surrogate,
)
from bedrock_sluice.transforms.decode.records import decode_line
from bedrock_sluice.transforms.errors import InputError
from bedrock_sluice.transforms.readers.exchanges import read_bodies
from bedrock_sluice.transforms.reasons import Reason

Json = dict[str, Any]


def refusal(text: bytes, *limits: int) -> str | None:
    """The reason for which a text is refused, if it is."""
    try:
        check_limits(text, *limits)
    except InputError as error:
        return error.reason
    return None


def depth(value: object) -> int:
    """How many objects and arrays stand inside each other."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0)


def keys(value: object) -> int:
    """How many keys and elements there are."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return len(value) + sum(map(keys, inner))


# Texts that look like structure, and quotes and backslashes that hide where a text ends.
_TRICKY = st.text(alphabet='{}[]",:\\ \n/é😀', max_size=6)
_VALUES = st.recursive(
    st.none() | st.integers() | _TRICKY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TRICKY, inner, max_size=4),
    max_leaves=12,
)


@given(
    value=_VALUES,
    max_depth=st.integers(0, 4),
    max_keys=st.integers(0, 8),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
)
@example(value=["\\"], max_depth=0, max_keys=0, indent=None, is_ascii=True)
@example(value=['\\"', [[]], "{"], max_depth=1, max_keys=9, indent=None, is_ascii=True)
@example(value={"a": [], "b": {}}, max_depth=9, max_keys=1, indent=1, is_ascii=True)
def test_json_is_refused_if_and_only_if_it_is_over_a_limit(
    value: object, max_depth: int, max_keys: int, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(json_limits, "MAX_JSON_DEPTH", max_depth)
        reason = refusal(text, max_keys)
    over = {Reason.DECODE_TOO_DEEP} if depth(value) > max_depth else set()
    over |= {Reason.DECODE_TOO_MANY_KEYS} if keys(value) > max_keys else set()
    assert reason in over if over else reason is None


@pytest.mark.parametrize(
    "nested",
    [
        lambda levels: b"[" * levels + b"]" * levels,
        lambda levels: b'{"a":' * levels + b"1" + b"}" * levels,
        lambda levels: b'[{"]}": ' * (levels // 2) + b"[" * (levels % 2),
        lambda levels: b" [\n" * levels + b'"}}]]\\"]]"' + b"]\t" * levels,
    ],
    ids=["arrays", "objects", "torn", "blanks and brackets in texts"],
)
def test_the_depth_is_exact(nested: Callable[[int], bytes]) -> None:
    assert refusal(nested(MAX_JSON_DEPTH)) is None
    assert refusal(nested(MAX_JSON_DEPTH + 1)) == Reason.DECODE_TOO_DEEP
    assert refusal(nested(5_000)) == Reason.DECODE_TOO_DEEP


def test_many_objects_beside_each_other_are_not_deep() -> None:
    turns = [{"role": "user", "content": [{"text": 'say "{[" or \\'}]}] * 1_000
    assert refusal(json.dumps({"messages": turns}).encode()) is None


@pytest.mark.parametrize(
    "wide",
    [
        lambda number: b"[" + b",".join([b"0"] * number) + b"]",
        lambda number: b"[" + b" ,".join([b'"a, b"'] * number) + b"]",
        lambda number: b"{" + b",".join(b'"%d":""' % n for n in range(number)) + b"}",
        lambda number: b"[" + b",".join([b"{ }", b"[]"] * (number // 2)) + b"]",
    ],
    ids=["numbers", "texts with commas", "keys", "empty objects and arrays"],
)
@pytest.mark.parametrize("limit", [MAX_KEYS, MAX_BODY_KEYS // 4])
def test_the_number_of_keys_is_exact(wide: Callable[[int], bytes], limit: int) -> None:
    assert refusal(wide(limit), limit) is None
    assert refusal(wide(limit + 2), limit) == Reason.DECODE_TOO_MANY_KEYS


def test_commas_in_a_text_are_no_keys() -> None:
    assert refusal(json.dumps({"text": "{,\n[,\\" * 2 * MAX_KEYS}).encode()) is None


@given(st.binary(max_size=300))
@example(b'"' * 1_000)
@example(b"\\" * 1_001)
@example(b'{"' * 500)
def test_any_bytes_pass_or_are_refused(text: bytes) -> None:
    for limit, max_keys in product((0, 3, MAX_JSON_DEPTH), (0, 3, MAX_KEYS)):
        with pytest.MonkeyPatch.context() as limits:
            limits.setattr(json_limits, "MAX_JSON_DEPTH", limit)
            assert refusal(text, max_keys) in (
                None, Reason.DECODE_TOO_DEEP, Reason.DECODE_TOO_MANY_KEYS,
            )  # fmt: skip


# --- where the limits are kept


def _line(novel: str) -> bytes:
    return f'{{"requestId": "a", "timestamp": "2026-10-01T00:00:00Z", "novel": {novel}}}'.encode()


def _arrays(levels: int) -> str:
    return "[" * levels + "]" * levels


def _zeros(number: int) -> str:
    return json.dumps([0] * number)


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        (_arrays(MAX_JSON_DEPTH - 1), _arrays(MAX_JSON_DEPTH), Reason.DECODE_TOO_DEEP),
        (_zeros(MAX_KEYS - 3), _zeros(MAX_KEYS - 2), Reason.DECODE_TOO_MANY_KEYS),
    ],
)
def test_the_envelope_counts_in_a_line(good: str, bad: str, reason: Reason) -> None:
    assert decode_line(_line(good))["request_id"] == "a"
    with pytest.raises(InputError) as error:
        decode_line(_line(bad))
    assert error.value.reason == reason


_SAID = b'{"role": "assistant", "content": [{"type": "text", "text": "4"}]}'


def _request(novel: str) -> str:
    return f'{{"messages": [{{"role": "user", "content": "?"}}], "novel": {novel}}}'


@pytest.mark.parametrize(
    ("good", "bad", "reason"),
    [
        (_arrays(MAX_JSON_DEPTH - 1), _arrays(MAX_JSON_DEPTH), Reason.DECODE_TOO_DEEP),
        (_zeros(MAX_BODY_KEYS - 5), _zeros(MAX_BODY_KEYS - 4), Reason.DECODE_TOO_MANY_KEYS),
    ],
)
def test_a_body_that_is_a_string_has_limits_of_its_own(good: str, bad: str, reason: Reason) -> None:
    assert read_bodies(json.dumps(_request(good)).encode(), _SAID)[0] == "anthropic_messages"
    with pytest.raises(InputError) as error:
        read_bodies(json.dumps(_request(bad)).encode(), _SAID)
    assert error.value.reason == reason


# --- halves of surrogate pairs


@pytest.mark.parametrize(
    ("text", "is_lone"),
    [
        (r'"\ud83d"', True),
        (r'"\uDE00"', True),
        (r'"\ud83d\ud83d"', True),
        (r'"\ud83d\u0041"', True),
        (r'"\ud83d\n"', True),
        (r'"\ud83d\\ude00"', True),
        (r'{"\ud83d": 1}', True),
        (r'"\ud83d\ude00"', False),
        (r'"\\ud83d"', False),
        (r'"\\\ud83d"', True),
        (r'"\ud7ff \ue000"', False),
        (r'"\ud83d', False),
        (r'"\ud83d\ude0', False),
        ('"ud83d"', False),
    ],
)
def test_half_of_a_surrogate_pair_is_told_from_a_whole_and_a_torn_one(
    text: str, is_lone: bool
) -> None:
    assert has_lone_surrogate(text.encode()) == is_lone


@given(st.text(st.characters(categories=["L", "Cs", "Po"]), max_size=8))
def test_a_text_is_lone_if_and_only_if_utf_8_cannot_hold_it(text: str) -> None:
    normal_text = json.loads(json.dumps(text))  # halves that stand beside each other are a pair
    is_lone = normal_text.encode(errors="replace") != normal_text.encode(errors="surrogatepass")
    assert has_lone_surrogate(json.dumps(text).encode()) == is_lone


@pytest.mark.parametrize("is_string", [False, True])
def test_half_of_a_surrogate_pair_in_a_body_is_bad_encoding(is_string: bool) -> None:
    body = _request(r'"\ud83d"')
    with pytest.raises(InputError) as error:
        read_bodies((json.dumps(body) if is_string else body).encode(), _SAID)
    assert error.value.reason == Reason.DECODE_BAD_ENCODING
