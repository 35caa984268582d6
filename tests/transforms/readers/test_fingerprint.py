"""Fingerprints of unknown shapes: keys that look like words, and nothing that anybody said."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.readers.fingerprint import MAX_CHARS, fingerprint

CANARY = "jane.doe@example.com"


def test_keys_and_kinds_are_told_and_values_are_not() -> None:
    request = {"documents": [CANARY, CANARY], "top_n": 3, "deep": {"a": {"b": {"c": {"d": 1}}}}}
    shape = fingerprint(json.dumps(request).encode(), b'[{"x": null}, "[DONE]"]')
    assert (
        shape == "{deep:{a:{b:{c:{\u2026}}}},documents:[text],top_n:number} \u2192 [text|{x:null}]"
    )


def test_a_key_that_is_no_word_is_hidden() -> None:
    shape = fingerprint(json.dumps({CANARY: 1, "ok": True}).encode(), b"{}")
    assert shape == "{ok:flag,?} → {}"


def test_the_order_of_keys_changes_nothing() -> None:
    assert fingerprint(b'{"a": 1, "b": "x"}', b"{}") == fingerprint(b'{"b": "y", "a": 2}', b"{}")


@given(st.binary(max_size=60), st.recursive(st.none() | st.text(), st.lists, max_leaves=9))
def test_any_body_has_a_short_fingerprint(raw: bytes, value: object) -> None:
    assert len(fingerprint(raw, json.dumps(value).encode())) <= MAX_CHARS
