"""Masks: the same value the same mask, nothing left to find, JSON stays JSON, any text in time."""

import base64
import json
import re
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.privacy.detection import (
    count_personal_data,
    find_personal_data,
    mask_json,
    mask_personal_data,
)
from bedrock_sluice.transforms.privacy.kinds import KINDS, PERSONAL, SECRETS

KEY = "a key of this recipe"
MASK = re.compile(r"\[([A-Z_]+)_[0-9a-f]{6}\]")

_BODY = base64.b64encode(bytes(range(200))).decode()
_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYzEXAMPLEKE"
_PEM = f"-----BEGIN PRIVATE KEY-----\n{_BODY}\n-----END PRIVATE KEY-----"
_JWT = ".".join(base64.urlsafe_b64encode(b'{"alg":"none","a":1}').decode() for _ in "abc").rstrip(
    "="
)
VALUES = {
    "pem": _PEM,
    "jwt": _JWT.replace("=", ""),
    "aws_secret_key": _SECRET,
    "aws_access_key": "AKIA" + "IOSFODNN7EXAMPLE",
    "token": "ghp_" + "a1B2" * 9,
    "password": "Tr0ub4dor&3"[:8] + "!x",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "card": "4111 1111 1111 1111",
    "us_ssn": "219-09-9999",
    "email": "Kim.Doe@example.com",
    "phone": "+44 20 7946 0018",
}
LEAD = {"aws_secret_key": "aws_secret_access_key = ", "password": "password: "}
TEXTS = {kind: LEAD.get(kind, "") + value for kind, value in VALUES.items()}

# Whole values, parts of them, and what may stand around them, in any order.
_PIECES = [
    *(part for text in TEXTS.values() for part in (text, text[:-3], text[5:])),
    "555-010-1234", "(555) 010-1234", "06 12 34 56 11", "4111111111111111", "[EMAIL_3f9a1c]",
    "https://kim:pa55word!@db.example.com", "Bearer abcdefgh12345678ijkl", 'password = "letmein"',
    " ", "-", ".", ",", ":", "@", "+", "(", ")", "[", "]", '"', "'", "\\", "\\n", '\\"', "/", "=",
    "_", "x", "n", "0", "1", "12", "2024", "[CARD_", "phone: ", "tel ", "ssn ", "card ",
    "password ", "secret=", "\t", "-----", "é", "\u00a0", "😀", "\ud800",
]  # fmt: skip
hostile_texts = st.lists(st.sampled_from(_PIECES), max_size=12).map("".join) | st.text(max_size=60)
kinds_of_interest = st.none() | st.sets(st.sampled_from(KINDS))


def mask(text: str, kinds: Any = None) -> str:
    return mask_personal_data(text, KEY, kinds)


def kinds_in(text: str) -> list[str]:
    return [each.kind for each in find_personal_data(text)]


def test_every_kind_is_a_secret_or_personal() -> None:
    assert KINDS == SECRETS + PERSONAL
    assert set(VALUES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_names_the_kind_and_holds_nothing_else(kind: str) -> None:
    masked_text = mask(f"so: {TEXTS[kind]} and on")
    match = MASK.search(masked_text)
    assert match is not None
    assert match[1] == kind.upper()
    assert masked_text == f"so: {LEAD.get(kind, '')}{match[0]} and on"


@given(text=hostile_texts, kinds=kinds_of_interest)
def test_masking_twice_is_masking_once_and_leaves_nothing(text: str, kinds: Any) -> None:
    masked_text = mask(text, kinds)
    assert set(kinds_in(masked_text)) & set(KINDS if kinds is None else kinds) == set()
    assert mask(masked_text, kinds) == masked_text


@given(
    texts=st.lists(hostile_texts.map(lambda t: re.sub(r"[\n\r\x0b\x0c]|-----", "", t)), max_size=4)
)
def test_lines_are_masked_alone_as_they_are_together(texts: list[str]) -> None:
    assert mask("\n".join(texts)) == "\n".join(map(mask, texts))


@given(text=hostile_texts)
def test_findings_are_in_order_and_apart(text: str) -> None:
    findings = find_personal_data(text)
    assert all(0 <= each.start < each.end <= len(text) for each in findings)
    assert all(a.end <= b.start for a, b in pairwise(findings))


@pytest.mark.parametrize(
    "writings",
    [
        ("Kim.Doe@example.com", "kim.doe@EXAMPLE.com"),
        ("4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"),
        ("+44 20 7946 0018", "+442079460018", "+44 (0)20 7946 0018", "0044 20 7946 0018"),
        ("GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"),
        (_PEM, _PEM.replace("\n", "\r\n"), _PEM.replace("\n", "\\n"), _PEM.replace("\n", "\\\\n")),
    ],
)
def test_the_same_value_has_the_same_mask(writings: tuple[str, ...]) -> None:
    assert len({mask(writing) for writing in writings}) == 1
    assert len({mask(f"{writing}, she said") for writing in writings}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_gives_another_mask(kind: str) -> None:
    assert mask_personal_data(TEXTS[kind], "x" * 200, None) != mask(TEXTS[kind])


def test_only_the_kinds_asked_for_are_masked() -> None:
    text = f"{VALUES['email']} {VALUES['card']}"
    assert VALUES["email"] in mask(text, {"card"})
    assert VALUES["card"] not in mask(text, {"card"})
    assert mask(text, ()) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Authorization: Bearer {VALUES['jwt']}", "jwt"),
        (f'password = "{VALUES["token"]}"', "token"),
        (f"api_key={VALUES['aws_access_key']}", "aws_access_key"),
        ("postgres://kim:pa55word@db.example.com/x", "password"),
    ],
)
def test_of_two_that_overlap_the_one_that_says_more_wins(text: str, kind: str) -> None:
    assert kinds_in(text)[0] == kind
    assert len(kinds_in(mask(text))) == 0


# --- JSON ----------------------------------------------------------------------------------------

json_values = st.recursive(
    hostile_texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)


def test_strings_are_masked_and_keys_stay() -> None:
    value = {VALUES["email"]: [VALUES["email"], {"x": VALUES["card"]}, 1, None, True, 2.5]}
    masked_text = mask_json(value, KEY, None)
    assert masked_text == {
        VALUES["email"]: [mask(VALUES["email"]), {"x": mask(VALUES["card"])}, 1, None, True, 2.5]
    }


def test_a_key_tells_what_its_value_is() -> None:
    value = {
        "password": "Tr0ub4dor!",
        "aws_secret_access_key": _SECRET,
        "phone": "5550101234",
        "n": "5550101234",
    }
    masked_text = mask_json(value, KEY, None)
    assert [bool(MASK.fullmatch(each)) for each in masked_text.values()] == [
        True,
        True,
        True,
        False,
    ]


@given(value=json_values)
def test_json_inside_a_string_stays_json(value: Any) -> None:
    for indent in (None, 1):
        text = json.dumps({"arguments": value}, indent=indent)
        masked_text = mask_json({"arguments": text}, KEY, None)["arguments"]
        assert type(json.loads(masked_text)) is dict
        assert mask_json(masked_text, KEY, None) == masked_text


@pytest.mark.parametrize(
    "text",
    [
        "Hi,\nkim@example.com\tnow",
        'she said "kim@example.com"',
        "C:\\kim@example.com",
        "é\u2028kim@example.com",
    ],
)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_an_escape_is_no_part_of_a_value(text: str, levels: int) -> None:
    nested, plain = text, text.replace("kim@example.com", mask("kim@example.com"))
    for _ in range(levels):
        nested, plain = json.dumps(nested), json.dumps(plain)
    assert mask_json(nested, KEY, None) == plain


def test_a_bare_number_in_json_text_becomes_a_string() -> None:
    masked_text = mask_json('{"card": 4111111111111111, "n": [1, 2.50]}', KEY, None)
    assert json.loads(masked_text) == {"card": mask("4111111111111111"), "n": [1, 2.5]}
    assert mask_json({"card": 4111111111111111}, KEY, None) == {"card": mask("4111111111111111")}


def test_what_only_looks_like_json_is_text() -> None:
    deep = "[" * 5_000 + VALUES["email"]
    assert mask_json(deep, KEY, None) == "[" * 5_000 + mask(VALUES["email"])


# --- counts --------------------------------------------------------------------------------------


def test_counts_are_a_column_a_kind_and_a_row_a_text() -> None:
    texts = pl.Series(
        ["", None, f"{VALUES['email']} {VALUES['email']}", TEXTS["password"]], dtype=pl.String
    )
    counts = count_personal_data(texts)
    assert counts.schema == dict.fromkeys(KINDS, pl.UInt32)
    assert counts["email"].to_list() == [0, 0, 2, 0]
    assert counts["password"].to_list() == [0, 0, 0, 1]
    assert count_personal_data(pl.Series([], dtype=pl.String)).height == 0
