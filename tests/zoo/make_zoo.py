"""The zoo: good and bad log objects by name, the same bytes on every run.

python tests/zoo/make_zoo.py FOLDER      writes each to FOLDER/<name>.json.gz, to try by hand
"""

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = dict[str, Any]
Line = Json | bytes

MIB = 1 << 20


def specimens() -> dict[str, bytes]:
    """All specimens by name."""
    return {
        **_whole(),
        **_damaged_objects(),
        **_laid_out(),
        **_large(),
        **{name: _compress(_good(1), line, _good(3)) for name, line in _odd_lines().items()},
    }


def _good(number: int, *, ask: str = "", **envelope: object) -> Json:
    """One record that gives an exchange; a field of the envelope that is None is left out."""
    question = [{"text": ask or f"What is {number} plus {number}?"}]
    answer = {"message": {"role": "assistant", "content": [{"text": f"#### {2 * number}"}]}}
    record = {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": f"2026-10-01T12:00:{number:02}Z",
        "accountId": "111122223333",
        "region": "us-east-1",
        "requestId": f"request-{number}",
        "operation": "Converse",
        "modelId": "us.amazon.nova-lite-v1:0",
        "input": {
            "inputBodyJson": {"messages": [{"role": "user", "content": question}]},
            "inputTokenCount": 9,
        },
        "output": {
            "outputBodyJson": {"output": answer, "stopReason": "end_turn"},
            "outputTokenCount": 5,
        },
        **envelope,
    }
    return {name: value for name, value in record.items() if value is not None}


def _text(line: Line) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode()


def _pretty(record: Json) -> bytes:
    return json.dumps(record, indent=2).encode()


def _lines(*lines: Line) -> bytes:
    return b"".join(_text(line) + b"\n" for line in lines)


def _gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def _compress(*lines: Line) -> bytes:
    return _gz(_lines(*lines))


def _whole() -> dict[str, bytes]:
    """Objects whose bytes are in order."""
    three = _lines(_good(1), _good(2), _good(3))
    return {
        "ok": _gz(three),
        "two_members": _compress(_good(1)) + _compress(_good(2), _good(3)),
        "line_across_members": _gz(three[:700]) + _gz(three[700:]),
        "many_tiny_members": b"".join(_gz(three[n : n + 1]) for n in range(len(three))),
        "trailing_zeros": _gz(three) + bytes(512),
        "empty_gz": _gz(b""),
        "blank_gz": _gz(b"\n \r\n\t\n"),
        "plain_json_named_gz": three,
        "gz_in_gz": _gz(_gz(three)),
        "no_gz_in_gz": _gz(b"\x1f\x8b\x08" + bytes(20)),
        "no_final_newline": _gz(three.rstrip(b"\n")),
    }


def _damaged_objects() -> dict[str, bytes]:
    """Objects whose bytes are not what was written."""
    whole = _compress(*(_good(n) for n in range(1, 21)))
    return {
        "truncated_half": whole[: len(whole) // 2],
        "truncated_last_8": whole[:-8],
        "truncated_last_1": whole[:-1],
        "header_only": whole[:10],
        "crc_flip": _flip_byte(whole, len(whole) - 8),
        "length_flip": _flip_byte(whole, len(whole) - 1),
        "bit_flip_mid": _flip_byte(whole, len(whole) // 2),
        "member_plus_truncated_member": _compress(_good(1)) + whole[: len(whole) // 2],
        "trailing_garbage": whole + b"this is no gzip member",
        "empty_object": b"",
    }


def _flip_byte(whole: bytes, at: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


def _laid_out() -> dict[str, bytes]:
    """Objects of good records in another layout or encoding."""
    two = [_good(1), _good(2)]
    latin = _lines(_good(1), _good(2, ask="Où est le café ?"), _good(3))
    return {
        "torn_last_line": _gz(_lines(*two) + _text(_good(3))[:-40]),
        "blank_lines": _gz(b"\n" + _lines(*two).replace(b"\n", b"\n\n  \n")),
        "crlf": _gz(_lines(*two).replace(b"\n", b"\r\n")),
        "bom": _gz(b"\xef\xbb\xbf" + _lines(*two)),
        "bom_array": _gz(b"\xef\xbb\xbf" + json.dumps(two).encode()),
        "utf16": _gz(_lines(*two).decode().encode("utf-16")),
        "utf16_no_bom": _gz(_lines(*two).decode().encode("utf-16-le")),
        "latin1": _gz(latin.decode().encode("latin-1")),
        "array_top_level": _gz(json.dumps(two).encode()),
        "array_with_stranger": _gz(json.dumps([_good(1), 7, _good(3)]).encode()),
        "array_torn": _gz(json.dumps(two).encode()[:-40]),
        "array_line_first": _compress(b"[1, 2]", *two),
        "pretty_printed": _compress(*(_pretty(r) for r in two)),
        "pretty_printed_crlf": _gz(_lines(*(_pretty(r) for r in two)).replace(b"\n", b"\r\n")),
        "pretty_printed_torn": _gz(_lines(*(_pretty(r) for r in two))[:-30]),
        "pretty_and_compact": _compress(_pretty(_good(1)), _good(2), _pretty(_good(3))),
        "line_separators": _compress(_good(1, ask="one\u2028two\u2029three\x85four"), _good(2)),
    }


def _large() -> dict[str, bytes]:
    """Objects that unpack to much."""
    long = _text(_good(2, ask="a, b\n" * 4_000_000))
    too_long = b"x" * (32 * MIB + 1)
    return {
        "line_20_mb": gzip.compress(_lines(_good(1), long, _good(3)), 1, mtime=0),
        "line_over_limit": gzip.compress(_lines(_good(1), too_long, _good(3)), 1, mtime=0),
        "bomb_128_mib": bomb(128 * MIB),
    }


def bomb(size: int) -> bytes:
    """Gzip of that many zeros, a whole number of MiB; they are never held."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    members = [squeeze.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join(members) + squeeze.flush()


def _odd_lines() -> dict[str, Line]:
    """One odd line each, to stand between two good ones."""
    return {
        "bad_line_mid": b'{"schemaType": "ModelInvocationLog", oops}',
        "scalar_line": b"42",
        "null_line": b"null",
        "array_line": b"[1, 2]",
        "cloudwatch_line": b"2026-10-01T12:00:02.000Z " + _text(_good(2)),
        "cloudwatch_line_torn": b"2026-10-01T12:00:02.000Z " + _text(_good(2))[:-9],
        "permission_check_line": _PERMISSION_CHECK,
        "permission_check_exported": b"2026-10-01T12:00:02.000Z " + _PERMISSION_CHECK,
        "stranger_object": {"level": "info", "message": "hello"},
        "two_records_on_a_line": _text(_good(2)) + _text(_good(2)),
        **_odd_texts(),
        **_odd_numbers(),
        **_odd_envelopes(),
        **_odd_bodies(),
    }


_PERMISSION_CHECK = b"Permissions are correctly set for Amazon Bedrock logs."


def _odd_texts() -> dict[str, Line]:
    plain = _text(_good(2, ask="MARK"))
    return {
        "invalid_utf8": plain.replace(b"MARK", b"\xff\xfe"),
        "overlong_utf8": plain.replace(b"MARK", b"\xc0\xaf"),
        "invalid_utf8_in_envelope": plain.replace(b"us-east-1", b"us-\xff"),
        "lone_surrogate": plain.replace(b"us-east-1", b"us-\\ud83d"),
        "lone_surrogate_body": plain.replace(b"MARK", b"\\ude00 and more"),
        "torn_in_surrogate_pair": plain[: plain.index(b"MARK")] + b"\\ud83d",
        "surrogate_pair": plain.replace(b"MARK", b"\\ud83d\\ude00"),
        "nul_escaped": plain.replace(b"MARK", b"a\\u0000b"),
        "nul_raw": plain.replace(b"MARK", b"a\x00b"),
        "control_raw": plain.replace(b"MARK", b"a\x1bb"),
        "bad_escape": plain.replace(b"MARK", b"a\\x41b"),
        "bidi_text": _good(2, ask="\u202egnp.exe\u202c \u200b\ufeff"),
        "script_text": _good(2, ask='</script><script>alert(1)</script>"><img src=x onerror=y>'),
        "formula_text": _good(2, ask="=cmd|' /C calc'!A0"),
        "sql_text": _good(2, ask="'; drop table landed; --", requestId="' or 1=1 --"),
        "template_text": _good(2, ask="{{ 7 * 7 }} ${x} %s {0}"),
        "decomposed_text": _good(2, ask="cafe\u0301 \u212b"),
        "canaries": _good(2, ask="AKIAIOSFODNN7EXAMPLE, 078-05-1120, jane.doe@example.com"),
    }


def _odd_numbers() -> dict[str, Line]:
    """Numbers, in the envelope and in a body, that JSON or 64 bits cannot hold."""
    plain = _text(_good(2))
    count_field = b'"inputTokenCount": 9'
    stop = b'"stopReason": "end_turn"'

    def count(text: bytes) -> bytes:
        return plain.replace(count_field, b'"inputTokenCount": ' + text)

    def extra(text: bytes) -> bytes:
        return plain.replace(stop, stop + b', "usage": ' + text)

    return {
        "nan": count(b"NaN"),
        "nan_in_body": extra(b"NaN"),
        "infinity": count(b"-Infinity"),
        "infinity_in_body": extra(b"Infinity"),
        "big_int": count(b"9" * 30),
        "big_int_in_body": extra(b"9" * 5_000),
        "float_1e400": count(b"1e400"),
        "float_1e400_in_body": extra(b"1e400"),
        "negative_count": count(b"-1"),
        "minus_zero": count(b"-0"),
    }


def _odd_envelopes() -> dict[str, Line]:
    plain = _text(_good(2))
    return {
        "duplicate_keys": plain.replace(b'"region"', b'"region": "eu-west-1", "region"'),
        "duplicate_keys_in_body": plain.replace(b'"messages"', b'"messages": [], "messages"'),
        "unknown_fields": _good(2, inferenceRegion="us-west-2", novel={"a": [1]}),
        "type_drift": _good(2, modelId=7),
        "metadata_drift": _good(2, requestMetadata={"team": 7}),
        "metadata_empty": _good(2, requestMetadata={}),
        "metadata_null": plain[:-1] + b', "requestMetadata": null}',
        "no_request_id": _good(2, requestId=None),
        "empty_request_id": _good(2, requestId=""),
        "long_request_id": _good(2, requestId="x" * 257),
        "no_timestamp": _good(2, timestamp=None),
        "no_zone_timestamp": _good(2, timestamp="2026-10-01T12:00:02"),
        "zoned_timestamp": _good(2, timestamp="2026-10-01T21:30:02.123456789+09:30"),
        "future_timestamp": _good(2, timestamp="2999-12-31T23:59:59Z"),
        "epoch_timestamp": _good(2, timestamp="1970-01-01T00:00:00Z"),
        "leap_second_timestamp": _good(2, timestamp="2026-10-01T23:59:60Z"),
        "year_1_timestamp": _good(2, timestamp="0001-01-01T00:00:00+14:00"),
        "numeric_timestamp": _good(2, timestamp=1_790_000_000),
        "schema_version_minor": _good(2, schemaVersion="1.7"),
        "schema_version_next": _good(2, schemaVersion="2.0"),
        "schema_type_other": _good(2, schemaType="AgentTrace"),
        "no_schema": _good(2, schemaType=None, schemaVersion=None),
        "deep_5000": _with_novel(plain, _nested(5_000)),
        "deep_10000_torn": _with_novel(plain, b"[" * 10_000),
        "deep_128": _with_novel(plain, _nested(127)),
        "deep_129": _with_novel(plain, _nested(128)),
        "brackets_in_text": _good(2, ask="[{" * 5_000),
        "keys_90k": _with_novel(plain, _wide(90_000)),
        "keys_100k": _with_novel(plain, _wide(100_000)),
        "elements_100k": _with_novel(plain, b"[" + b"0," * 100_000 + b"0]"),
        "commas_in_text": _good(2, ask='",{[' * 100_000),
        "deep_100": plain[:-1] + b', "novel": ' + b"[" * 100 + b"]" * 100 + b"}",
        "keys_1e6": plain[:-1] + b', "novel": {' + b'"":1,' * 1_000_000 + b'"":1}}',
        "error_record": _good(2, errorCode="ThrottlingException", input=None, output=None),
    }


def _with_novel(line: bytes, value: bytes) -> bytes:
    return line[:-1] + b', "novel": ' + value + b"}"


def _nested(levels: int) -> bytes:
    return (
        b'[{"a": ' * (levels // 2)
        + b"[" * (levels % 2)
        + b"]" * (levels % 2)
        + b"}]" * (levels // 2)
    )


def _wide(keys: int) -> bytes:
    return json.dumps({f"key-{number}": number for number in range(keys)}).encode()


def _odd_bodies() -> dict[str, Line]:
    both = _good(2)
    request, response = both["input"]["inputBodyJson"], both["output"]["outputBodyJson"]
    makers: dict[str, Callable[[], tuple[object, object]]] = {
        "bodies_as_strings": lambda: (json.dumps(request), json.dumps(response)),
        "body_as_string": lambda: (request, json.dumps(response)),
        "bodies_twice_strings": lambda: (json.dumps(json.dumps(request)), response),
        "body_string_torn": lambda: (json.dumps(request)[:-9], response),
        "body_string_nan": lambda: (json.dumps(request | {"temperature": float("nan")}), response),
        "body_string_lone_surrogate": lambda: (json.dumps(request | {"user": "\ud83d"}), response),
        "body_string_deep": lambda: (
            _with_novel(_text(request), _nested(5_000)).decode(),
            response,
        ),
        "body_string_keys_1m": lambda: (json.dumps(request | {"novel": [0] * 1_000_000}), response),
        "big_int_in_schema": lambda: (
            request | {"toolConfig": _tool({"maximum": 9**99})},
            response,
        ),
        "responses_plain": lambda: ({"input": "a"}, {"output": [], "status": "completed"}),
        "embedding": lambda: ({"inputText": "a"}, {"embedding": [0.5], "inputTextTokenCount": 1}),
        "image_made": lambda: ({"taskType": "TEXT_IMAGE"}, {"images": ["aGVsbG8="]}),
        "unknown_bodies": lambda: ({"novel_question": "a"}, {"novel_answer": "b"}),
        "body_number": lambda: (7, response),
        "body_list": lambda: ([request], response),
    }
    records = {name: _with_bodies(*make()) for name, make in makers.items()}
    apart = {"inputBodyS3Path": "s3://logs/data/request-2_input.json.gz"}
    return {
        **records,
        "metadata_only": _good(2, input={"inputTokenCount": 1}, output={"outputTokenCount": 8}),
        "body_null": _with_bodies(None, response),
        "body_apart": _good(2, input=apart),
        "body_apart_and_null": _good(2, input={"inputBodyJson": None, **apart}),
        "no_input": _good(2, input=None),
    }


def _tool(schema: Json) -> Json:
    return {"tools": [{"toolSpec": {"name": "look", "inputSchema": {"json": schema}}}]}


def _with_bodies(request: object, response: object) -> Json:
    return _good(2, input={"inputBodyJson": request}, output={"outputBodyJson": response})


def main() -> None:
    """Write all specimens into the folder that the command line names."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in specimens().items():
        (folder / f"{name}.json.gz").write_bytes(content)


if __name__ == "__main__":
    main()
