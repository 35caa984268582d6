"""Lines made to fit, where that takes no data that are not there.

Fixing is idempotent: a fixed line needs no further fix. What still breaks a rule afterwards
is set aside with the names of the rules.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from bedrock_sluice.rewards.conformance.chat_rules import content_kind, metadata_reference
from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.conformance.line_text import TRAILING_COMMA, Fault, decode_line
from bedrock_sluice.rewards.conformance.profile import Fix, Profile
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.decode.lines import Line
from bedrock_sluice.transforms.reasons import Reason

ROLES = {"developer": "system", "human": "user"}  # other names of the roles that RFT knows
GIVEN_ID = Fix("an id is made from the content of the line", lambda _: False)
COMMA = Fix("the comma after the line is dropped", lambda _: False)

_ID_BYTES = 16
_LINE_ENDS = frozenset(b"\r\n")  # between tokens, where JSON allows them and lines do not


class FixResult(NamedTuple):
    """One line after mending.

    `text` is its JSON, or None if it was set aside because of `rules`; `raw` is what it was.
    """

    line: int
    raw: bytes
    text: bytes | None
    fixes: tuple[Fix, ...]
    rules: tuple[str, ...]


def fix_lines(lines: Iterable[Line], profiles: Sequence[Profile]) -> Iterator[FixResult]:
    """Fix lines for all of the profiles; line by line, in their order."""
    fixes = (*FIXES, *dict.fromkeys(fix for profile in profiles for fix in profile.fixes))
    id_counts = Counter[str]()
    for number, raw in lines:
        if isinstance(raw, Reason):
            yield FixResult(number, b"", None, (), (raw.value,))
        else:
            yield _fix_line(number, raw, fixes, profiles, id_counts)


def _fix_line(
    number: int,
    raw: bytes,
    fixes: Sequence[Fix],
    profiles: Sequence[Profile],
    id_counts: Counter[str],
) -> FixResult:
    line, applied_fixes = decode_line(raw), list[Fix]()
    if line is TRAILING_COMMA:
        line, applied_fixes = decode_line(raw.removesuffix(b",")), [COMMA]
    if isinstance(line, Fault):
        return FixResult(number, raw, None, (), (f"file/{line.name}",))
    applied_fixes += [fix for fix in fixes if fix.apply(line)]
    if is_broken := line_errors(line, profiles):
        return FixResult(number, raw, None, (), tuple(is_broken))
    if _give_id(line, id_counts):
        applied_fixes.append(GIVEN_ID)
    is_as_it_was = not applied_fixes and not _LINE_ENDS.intersection(raw)
    return FixResult(
        number, raw, raw if is_as_it_was else msgspec.json.encode(line), tuple(applied_fixes), ()
    )


def _give_id(line: JsonObject, id_counts: Counter[str]) -> bool:
    """Make an id for a line without one; equal lines get ids with a number behind."""
    value = line.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        line["id"] = str(value)
        return True
    if value is not None and not (isinstance(value, str) and not value.strip()):
        return False
    line.pop("id", None)
    content = msgspec.json.encode(line, order="sorted")
    digest = blake2b(content, digest_size=_ID_BYTES).hexdigest()
    id_counts[digest] += 1
    new_id = digest if id_counts[digest] == 1 else f"{digest}-{id_counts[digest]}"
    rest = dict(line)  # the id goes first, as in lines of ours
    line.clear()
    line.update({"id": new_id}, **rest)
    return True


# --- what every profile wants


def _ask(line: JsonObject) -> bool:
    """A row of `question` and, if there, `system` becomes messages."""
    question, system = line.get("question"), line.get("system")
    if "messages" in line or not isinstance(question, str) or not isinstance(system, str | None):
        return False
    system_messages = [{"role": "system", "content": line.pop("system")}] if system else []
    line["messages"] = [*system_messages, {"role": "user", "content": line.pop("question")}]
    return True


def _lift_reference(line: JsonObject) -> bool:
    """The reference leaves `metadata`, which goes if nothing else is in it."""
    if line.get("reference_answer") is not None or metadata_reference(line) is None:
        return False
    line["reference_answer"] = line["metadata"].pop("reference_answer")
    if not line["metadata"]:
        del line["metadata"]
    return True


def _messages(line: JsonObject) -> list[JsonObject]:
    messages = line.get("messages")
    return (
        [each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else []
    )


def _in_messages(change: Callable[[JsonObject], bool]) -> Callable[[JsonObject], bool]:
    """A change of one message, made in all of them."""

    def apply(line: JsonObject) -> bool:
        changes = [change(message) for message in _messages(line)]  # all, not up to the first
        return any(changes)

    return apply


def _rename_role(message: JsonObject) -> bool:
    role = message.get("role")
    if not isinstance(role, str):
        return False
    new_role = ROLES.get(role.lower(), role.lower())
    message["role"] = new_role
    return new_role != role


def _drop_empty_keys(message: JsonObject) -> bool:
    """Keys that hold nothing go, as clients write them: `"refusal": null`, `"tool_calls": []`."""
    empty = [key for key, value in message.items() if key != "content" and value in (None, [], "")]
    for key in empty:
        del message[key]
    return bool(empty)


def _join_blocks(message: JsonObject) -> bool:
    """Blocks of an assistant are pieces of one text; those of others stand on lines of their own.

    The same as `transforms.chat.Turn` does with logged messages.
    """
    content = message.get("content")
    if not isinstance(content, list) or content_kind(content) != "blocks":
        return False
    between = "" if message.get("role") == "assistant" else "\n"
    message["content"] = between.join(block["text"] for block in content)
    return True


def _merge_systems(line: JsonObject) -> bool:
    """One system message, first; blank ones go. Where one holds more than text, nothing is done."""
    messages = _messages(line)
    systems = [message for message in messages if message.get("role") == "system"]
    if not systems or len(messages) != len(line["messages"]):
        return False
    contents: list[Any] = [m.get("content") for m in systems if m.keys() <= {"role", "content"}]
    if len(contents) < len(systems) or not all(isinstance(c, str | None) for c in contents):
        return False
    texts = [content for content in contents if content and content.strip()]
    first = [{"role": "system", "content": "\n".join(texts)}] if texts else []
    system_first = [*first, *(message for message in messages if message.get("role") != "system")]
    line["messages"] = system_first
    return system_first != messages


def _drop_tools(line: JsonObject) -> bool:
    if "tools" not in line or line["tools"] not in (None, []):
        return False
    del line["tools"]
    return True


FIXES = (
    Fix("`question` and `system` become messages", _ask),
    Fix("`reference_answer` leaves `metadata`", _lift_reference),
    Fix("roles take the names that RFT knows", _in_messages(_rename_role)),
    Fix("keys of messages that hold nothing are dropped", _in_messages(_drop_empty_keys)),
    Fix("text blocks are joined to one text", _in_messages(_join_blocks)),
    Fix("system messages become one, and stand first", _merge_systems),
    Fix("`tools` without any is dropped", _drop_tools),
)
