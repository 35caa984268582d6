"""The zoo's table: how many exchanges each log object gives, and why the rest gave none."""

import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bedrock_sluice.transforms.decode.records import decode_object
from bedrock_sluice.transforms.readers.normalise import normalise
from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.tables import landed_table

PAGE = Path(__file__).parent / "README.md"

TABLE: dict[str, tuple[int, dict[str, int]]] = {
    # whole objects
    "ok": (3, {}),
    "two_members": (3, {}),
    "line_across_members": (3, {}),
    "many_tiny_members": (3, {}),
    "trailing_zeros": (3, {}),
    "empty_gz": (0, {}),
    "blank_gz": (0, {}),
    "plain_json_named_gz": (3, {}),
    "gz_in_gz": (3, {}),
    "no_gz_in_gz": (0, {"pull_corrupt_gzip": 1}),
    "no_final_newline": (3, {}),
    # damaged objects: nothing of them is taken
    "truncated_half": (0, {"pull_corrupt_gzip": 1}),
    "truncated_last_8": (0, {"pull_corrupt_gzip": 1}),
    "truncated_last_1": (0, {"pull_corrupt_gzip": 1}),
    "header_only": (0, {"pull_corrupt_gzip": 1}),
    "crc_flip": (0, {"pull_corrupt_gzip": 1}),
    "length_flip": (0, {"pull_corrupt_gzip": 1}),
    "bit_flip_mid": (0, {"pull_corrupt_gzip": 1}),
    "member_plus_truncated_member": (0, {"pull_corrupt_gzip": 1}),
    "trailing_garbage": (0, {"pull_corrupt_gzip": 1}),
    "empty_object": (0, {"pull_empty_object": 1}),
    # other layouts and encodings
    "torn_last_line": (2, {"decode_torn_line": 1}),
    "blank_lines": (2, {}),
    "crlf": (2, {}),
    "bom": (2, {}),
    "bom_array": (2, {}),
    "utf16": (0, {"decode_bad_encoding": 1}),
    "utf16_no_bom": (0, {"decode_bad_json": 3}),
    "latin1": (2, {"decode_bad_encoding": 1}),
    "array_top_level": (2, {}),
    "array_with_stranger": (2, {"decode_not_a_record": 1}),
    "array_torn": (0, {"decode_bad_json": 1}),
    "array_line_first": (2, {"decode_not_a_record": 1}),
    "pretty_printed": (2, {}),
    "pretty_printed_crlf": (2, {}),
    "pretty_printed_torn": (1, {"decode_torn_line": 1}),
    "pretty_and_compact": (3, {}),
    "line_separators": (2, {}),
    # objects that unpack to much
    "line_20_mb": (3, {}),
    "line_over_limit": (2, {"decode_line_too_long": 1}),
    "bomb_128_mib": (0, {"decode_line_too_long": 1}),
    # one odd line between two good ones
    "bad_line_mid": (2, {"decode_bad_json": 1}),
    "scalar_line": (2, {"decode_not_a_record": 1}),
    "null_line": (2, {"decode_not_a_record": 1}),
    "array_line": (2, {"decode_not_a_record": 1}),
    "cloudwatch_line": (3, {}),
    "cloudwatch_line_torn": (2, {"decode_torn_line": 1}),
    "permission_check_line": (2, {"decode_not_a_record": 1}),
    "permission_check_exported": (2, {"decode_not_a_record": 1}),
    "stranger_object": (2, {"decode_not_a_record": 1}),
    "two_records_on_a_line": (4, {}),
    "invalid_utf8": (2, {"decode_bad_encoding": 1}),
    "overlong_utf8": (2, {"decode_bad_encoding": 1}),
    "invalid_utf8_in_envelope": (2, {"decode_bad_encoding": 1}),
    "lone_surrogate": (2, {"decode_bad_encoding": 1}),
    "lone_surrogate_body": (2, {"decode_bad_encoding": 1}),
    "torn_in_surrogate_pair": (2, {"decode_torn_line": 1}),
    "surrogate_pair": (3, {}),
    "nul_escaped": (3, {}),
    "nul_raw": (2, {"decode_bad_json": 1}),
    "control_raw": (2, {"decode_bad_json": 1}),
    "bad_escape": (2, {"decode_bad_json": 1}),
    "bidi_text": (3, {}),
    "script_text": (3, {}),
    "formula_text": (3, {}),
    "sql_text": (3, {}),
    "template_text": (3, {}),
    "decomposed_text": (3, {}),
    "canaries": (3, {}),
    "nan": (2, {"decode_bad_json": 1}),
    "nan_in_body": (2, {"decode_bad_json": 1}),
    "infinity": (2, {"decode_bad_json": 1}),
    "infinity_in_body": (2, {"decode_bad_json": 1}),
    "big_int": (2, {"decode_bad_field": 1}),
    "big_int_in_body": (3, {}),
    "float_1e400": (2, {"decode_bad_field": 1}),
    "float_1e400_in_body": (3, {}),
    "negative_count": (2, {"decode_bad_field": 1}),
    "minus_zero": (3, {}),
    "duplicate_keys": (3, {}),
    "duplicate_keys_in_body": (3, {}),
    "unknown_fields": (3, {}),
    "type_drift": (2, {"decode_bad_field": 1}),
    "metadata_drift": (2, {"decode_bad_field": 1}),
    "metadata_empty": (3, {}),
    "metadata_null": (3, {}),
    "no_request_id": (2, {"decode_bad_field": 1}),
    "empty_request_id": (2, {"decode_bad_field": 1}),
    "long_request_id": (2, {"decode_bad_field": 1}),
    "no_timestamp": (2, {"decode_bad_field": 1}),
    "no_zone_timestamp": (3, {}),
    "zoned_timestamp": (3, {}),
    "future_timestamp": (3, {}),
    "epoch_timestamp": (3, {}),
    "leap_second_timestamp": (2, {"decode_bad_field": 1}),
    "year_1_timestamp": (2, {"decode_bad_field": 1}),
    "numeric_timestamp": (2, {"decode_bad_field": 1}),
    "schema_version_minor": (3, {}),
    "schema_version_next": (2, {"decode_unknown_schema": 1}),
    "schema_type_other": (2, {"decode_not_a_record": 1}),
    "no_schema": (3, {}),
    "deep_100": (3, {}),
    "deep_5000": (2, {"decode_too_deep": 1}),
    "deep_10000_torn": (2, {"decode_too_deep": 1}),
    "deep_128": (3, {}),
    "deep_129": (2, {"decode_too_deep": 1}),
    "brackets_in_text": (3, {}),
    "keys_90k": (3, {}),
    "keys_100k": (2, {"decode_too_many_keys": 1}),
    "elements_100k": (2, {"decode_too_many_keys": 1}),
    "commas_in_text": (3, {}),
    "keys_1e6": (2, {"decode_too_many_keys": 1}),
    "error_record": (2, {"curate_error": 1}),
    "bodies_as_strings": (3, {}),
    "body_as_string": (3, {}),
    "bodies_twice_strings": (2, {"decode_unknown_shape": 1}),
    "body_string_torn": (2, {"decode_unknown_shape": 1}),
    "body_string_nan": (2, {"decode_unknown_shape": 1}),
    "body_string_lone_surrogate": (2, {"decode_bad_encoding": 1}),
    "body_string_deep": (2, {"decode_too_deep": 1}),
    "body_string_keys_1m": (2, {"decode_too_many_keys": 1}),
    "big_int_in_schema": (3, {}),
    "responses_plain": (3, {}),
    "embedding": (2, {"curate_embedding": 1}),
    "image_made": (2, {"curate_image_generation": 1}),
    "unknown_bodies": (2, {"decode_unknown_shape": 1}),
    "body_number": (2, {"decode_unknown_shape": 1}),
    "body_list": (2, {"decode_unknown_shape": 1}),
    "metadata_only": (2, {"curate_no_body": 1}),
    "body_null": (2, {"curate_no_body": 1}),
    "body_apart": (2, {"pull_body_missing": 1}),
    "body_apart_and_null": (2, {"pull_body_missing": 1}),
    "no_input": (2, {"curate_no_body": 1}),
}


def test_the_table_names_every_specimen(specimens: dict[str, bytes]) -> None:
    assert set(specimens) == set(TABLE)
    assert {r for _, reasons in TABLE.values() for r in reasons} <= {r.value for r in Reason}


def test_the_page_tells_the_same() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (\d+) \| (.+) \|$", page, re.MULTILINE)
    table_rows = [
        (name, (int(kept), {r: int(n) for r, n in re.findall(r"`(\w+)` × (\d+)", reasons)}))
        for name, kept, reasons in rows
    ]
    assert table_rows == list(TABLE.items())


@pytest.mark.parametrize("name", TABLE)
def test_a_specimen_gives_what_the_table_says(specimens: dict[str, bytes], name: str) -> None:
    rows = decode_object(specimens[name], f"{name}.json.gz")
    read = normalise(landed_table([row for row in rows if "reason" not in row]))
    reasons = Counter(str(row["reason"]) for row in rows if "reason" in row)
    reasons.update(read.rejected["reason"].to_list())
    assert (read.exchanges.num_rows, dict(reasons)) == TABLE[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nul_escaped", "a\0b"),
        ("surrogate_pair", "😀"),
        ("bidi_text", "\u202egnp.exe\u202c \u200b\ufeff"),
        ("script_text", '</script><script>alert(1)</script>"><img src=x onerror=y>'),
        ("formula_text", "=cmd|' /C calc'!A0"),
        ("template_text", "{{ 7 * 7 }} ${x} %s {0}"),
        ("decomposed_text", "cafe\u0301 \u212b"),
        ("duplicate_keys_in_body", "What is 2 plus 2?"),
        ("cloudwatch_line", "What is 2 plus 2?"),
    ],
)
def test_hostile_text_is_kept_to_the_letter(
    specimens: dict[str, bytes], name: str, text: str
) -> None:
    read = normalise(landed_table(decode_object(specimens[name], "x"))).exchanges
    assert msgspec.json.decode(read["messages"][1].as_py())[0]["content"] == text
