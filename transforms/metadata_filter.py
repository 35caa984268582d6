"""Request-metadata filters: Bedrock's own words, plus `in`, `exists`, `not` and nesting.

A filter is a JSON object with exactly one word, or, as Bedrock has it, with both `equals` and
`notEquals`, which must both hold; a member of a list may be empty, and matches every record:

    {"equals": {key: value}}       {"notEquals": {key: value}}
    {"andAll": [filter, …]}        {"orAll": [filter, …]}          1 to 16 members
    {"in": {key: [value, …]}}      {"exists": key}                 {"not": filter}

`notEquals` is the plain opposite of `equals`: a record that lacks the key does not equal the value,
so it matches. Write `{"andAll": [{"exists": key}, …]}` to ask for the key.
Source: AWS API reference, `RequestMetadataFilters` and `RequestMetadataBaseFilters`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from bedrock_sluice.transforms.errors import ConfigError

MIN_MEMBERS, MAX_MEMBERS = 1, 16
MAX_DEPTH = 8
MAX_CLAUSES = 1_000

# What requestMetadataFilters takes; what can be logged is a little wider (`#` and `,` too).
NATIVE_KEY = re.compile(r"[a-zA-Z0-9\s._:/=+$@-]{1,256}")
NATIVE_VALUE = re.compile(r"[a-zA-Z0-9\s._:/=+$@-]{0,256}")
LOGGED_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
LOGGED_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")


@dataclass(frozen=True, slots=True)
class Literal:
    """One test of one key: is its value among `vals`, or, with no `vals`, is it there at all."""

    key: str
    vals: tuple[str, ...]
    is_negated: bool = False

    def as_parameter(self) -> dict[str, object]:
        """The literal as `sql/select_v1.sql` takes it."""
        return {"key": self.key, "vals": list(self.vals), "negated": self.is_negated}

    def __str__(self) -> str:
        """The literal as people read it: `env = "dev"`, `not env in ["dev", "test"]`."""
        values = ", ".join(f'"{value}"' for value in self.vals)
        if not values:
            text = f"exists {self.key}"
        else:
            text = f"{self.key} in [{values}]" if len(self.vals) > 1 else f"{self.key} = {values}"
        return f"not {text}" if self.is_negated else text


Clause = tuple[Literal, ...]  # one of these must hold
Clauses = tuple[Clause, ...]  # all of these must hold

_Build = Callable[[Any, str, bool, int], Clauses]


def parse_filter(tree: Mapping[str, Any]) -> Clauses:
    """A filter as clauses of literals (conjunctive normal form), for `sql/select_v1.sql`.

    Raises:
        ConfigError: the filter is not of the grammar above; the message names the place.
    """
    return _clauses(tree, "metadata", is_negated=False, depth=0)


def _clauses(tree: Any, where: str, is_negated: bool, depth: int) -> Clauses:
    is_member = where.endswith("]")  # of a list; only there may a filter be empty
    if not isinstance(tree, Mapping) or not (
        len(tree) == 1 or tree.keys() == _NATIVE_BASE or (is_member and not tree)
    ):
        raise _wrong(where, f"must be a table with exactly one of {', '.join(_WORDS)}")
    if depth > MAX_DEPTH:
        raise _wrong(where, f"is nested more than {MAX_DEPTH} deep")
    if is_negated and not tree:
        raise _wrong(where, "is empty, and matches no record below `not`; name a key")
    for word in tree:
        if word not in _WORDS:
            raise _wrong(where, f"has the unknown word {word!r}; known: {', '.join(_WORDS)}")
    parts = [
        _WORDS[word](body, f"{where}.{word}", is_negated, depth + 1) for word, body in tree.items()
    ]
    return _either(parts, where) if is_negated else _both(parts)


def _equals(body: Any, where: str, is_negated: bool, _: int) -> Clauses:
    key, value = _one_entry(body, where)
    return ((Literal(key, (_check_text(value, LOGGED_VALUE, where),), is_negated),),)


def _not_equals(body: Any, where: str, is_negated: bool, depth: int) -> Clauses:
    return _equals(body, where, not is_negated, depth)


def _in(body: Any, where: str, is_negated: bool, _: int) -> Clauses:
    key, values = _one_entry(body, where)
    if not isinstance(values, list) or not values:
        raise _wrong(where, "needs a list of at least one value")
    vals = tuple(_check_text(value, LOGGED_VALUE, where) for value in values)
    return ((Literal(key, vals, is_negated),),)


def _exists(body: Any, where: str, is_negated: bool, _: int) -> Clauses:
    return ((Literal(_check_text(body, LOGGED_KEY, where), (), is_negated),),)


def _not(body: Any, where: str, is_negated: bool, depth: int) -> Clauses:
    return _clauses(body, where, not is_negated, depth)


def _and_all(body: Any, where: str, is_negated: bool, depth: int) -> Clauses:
    members = _members(body, where, is_negated, depth)
    return _either(members, where) if is_negated else _both(members)


def _or_all(body: Any, where: str, is_negated: bool, depth: int) -> Clauses:
    members = _members(body, where, is_negated, depth)
    return _both(members) if is_negated else _either(members, where)


_WORDS: dict[str, _Build] = {
    "equals": _equals,
    "notEquals": _not_equals,
    "andAll": _and_all,
    "orAll": _or_all,
    "in": _in,
    "exists": _exists,
    "not": _not,
}


def _members(body: Any, where: str, is_negated: bool, depth: int) -> list[Clauses]:
    if not isinstance(body, list) or not MIN_MEMBERS <= len(body) <= MAX_MEMBERS:
        raise _wrong(where, f"needs a list of {MIN_MEMBERS} to {MAX_MEMBERS} filters")
    return [_clauses(each, f"{where}[{i}]", is_negated, depth) for i, each in enumerate(body)]


def _both(members: Iterable[Clauses]) -> Clauses:
    return tuple(clause for clauses in members for clause in clauses)


def _either(members: list[Clauses], where: str) -> Clauses:
    """`a and b, or c and d` is `(a or c) and (a or d) and (b or c) and (b or d)`."""
    size = 1
    for clauses in members:
        size *= len(clauses)
    if size > MAX_CLAUSES:
        raise _wrong(where, f"needs {size} clauses, more than {MAX_CLAUSES}; write it flatter")
    return tuple(sum(choice, ()) for choice in product(*members))


def _one_entry(body: Any, where: str) -> tuple[str, Any]:
    if not isinstance(body, Mapping) or len(body) != 1:
        raise _wrong(where, "must hold exactly one key with its value")
    (key, value), *_ = body.items()
    return _check_text(key, LOGGED_KEY, where), value


def _check_text(text: Any, pattern: re.Pattern[str], where: str) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise _wrong(where, f"holds {text!r}; Bedrock logs only strings of {pattern.pattern}")
    return text


def _wrong(where: str, what: str) -> ConfigError:
    return ConfigError(f"{where} {what}")


def describe(clause: Clause) -> str:
    """A clause as people read it."""
    return " or ".join(map(str, clause))


def why_not_native(tree: Mapping[str, Any]) -> str | None:
    """Why Bedrock's `requestMetadataFilters` can't say this (parsed) filter; None if it can."""
    if len(tree) != 1:
        return "Bedrock takes 'equals' and 'notEquals' at once only inside 'andAll' and 'orAll'"
    ((word, body),) = tree.items()
    base = [tree] if word in _NATIVE_BASE else body
    if word not in _NATIVE_BASE and word not in _NATIVE_LISTS:
        return f"Bedrock has no {word!r}"
    for inner, entry in (pair for each in base for pair in each.items()):
        if inner not in _NATIVE_BASE:
            return f"Bedrock takes no {inner!r} inside {word!r}"
        ((key, value),) = entry.items()
        if not (NATIVE_KEY.fullmatch(key) and NATIVE_VALUE.fullmatch(value)):
            return f"Bedrock takes no '#' or ',' in a filter; {key!r} or its value has one"
    return None


_NATIVE_BASE = frozenset({"equals", "notEquals"})
_NATIVE_LISTS = frozenset({"andAll", "orAll"})
