"""What is wrong with a recipe: the line, the reason, and the nearest valid key or value."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from bedrock_sluice.transforms.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]  # keys, and the number (from 0) of a table in an array of tables

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""|\'\'\'.*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
    r"|#[^\n]*|\n|[\[\]{}=]|[^\s\[\]{}=\"'#]+",
    re.DOTALL,
)
_KEY_PART = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s.\"']+")
_QUOTED = re.compile(r"'([^']*)'")
_TYPES = {
    "bool": "true or false",
    "dict": "a table",
    "float": "a number",
    "int": "an integer",
    "model": "a table",
    "string": "a text in quotes",
    "tuple": "a list",
}
_LIMITS = {
    "finite_number": "must be a finite number",
    "greater_than": "must be over {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be under {lt}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}


class RecipeError(ConfigError):
    """A recipe is wrong; `place` is the file, with the line of the first fault if it is known."""

    def __init__(self, path: Path, faults: Iterable[tuple[int, str]]) -> None:
        lines = [(f"{path}:{line}" if line else str(path), reason) for line, reason in faults]
        super().__init__("\n".join(f"{place}: {reason}" for place, reason in lines))
        # Each line of the text names its own place, so the text gets no place in front.
        self.place = lines[0][0]


def explain(error: "ValidationError", path: Path, text: str, model: type[BaseModel]) -> RecipeError:
    """One error for all that is wrong, a line of it for each fault, in the file's order."""
    return RecipeError(path, sorted({_fault(details, text, model) for details in error.errors()}))


def unknown(value: str, valid: Iterable[str]) -> str:
    """What to say of a value that is none of those that are known."""
    return f"unknown value `{value}`; {_hint(value, valid)}"


def _fault(details: "ErrorDetails", text: str, model: type[BaseModel]) -> tuple[int, str]:
    place = details["loc"]
    # As people write it: `derive[1].key`. The number of a list's last element is left out.
    parts = place[:-1] if place and isinstance(place[-1], int) else place
    pieces = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    where = "".join(pieces).removeprefix(".") or "recipe"
    line = line_of(text, place)
    if details["type"] == "extra_forbidden":
        keys = [part for part in place if isinstance(part, str)]
        return line, f"unknown key `{where}`; {_hint(keys[-1], _keys_at(keys[:-1], model))}"
    if details["type"] == "missing":
        return line, f"missing key `{where}`"
    return line, f"{where}: {_reason(details)}"


def _reason(details: "ErrorDetails") -> str:
    """Our own words for pydantic's."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        return unknown(str(details["input"]), _QUOTED.findall(str(context["expected"])))
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    name = kind.partition("_")[0]
    if kind.endswith(("_type", "_parsing", "_from_float")) and name in _TYPES:
        return f"must be {_TYPES[name]}"
    message = details["msg"].removeprefix("Value error, ")
    return f"{message[:1].lower()}{message[1:]}"


def _hint(value: str, valid: Iterable[str]) -> str:
    names = sorted(valid)
    near = get_close_matches(value, names, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(names)}"


def _keys_at(place: Sequence[str], model: type[BaseModel]) -> Iterator[str]:
    for part in place:
        field = model.model_fields.get(part)
        inner = _model_of(field.annotation) if field else None
        if inner is None:
            return
        model = inner
    for name, field in model.model_fields.items():
        yield field.alias or name


def _model_of(annotation: object) -> type[BaseModel] | None:
    """The section that an annotation such as `Section` or `tuple[Section, ...]` stands for."""
    options = getattr(annotation, "__args__", None) or (annotation,)
    models = (o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return next(models, None)


# `tomllib` tells no positions, so the text is gone through once more: valid TOML, in which keys,
# headers and brackets need telling apart from what stands inside of texts.


def line_of(text: str, place: Place) -> int:
    """The line (from 1) where the deepest part of `place` that can be found is written; else 0."""
    best, depth = 0, 0
    for line, keys in _keys(text):
        if depth < len(keys) and place[: len(keys)] == keys:
            best, depth = line, len(keys)
    return best


def _keys(text: str) -> Iterator[tuple[int, Place]]:
    """The line and the place of each table and key of a valid TOML text."""
    table: Place = ()
    arrays = Counter[str]()
    for line, pieces in _statements(text):
        if pieces[0] == "[":
            is_array = pieces[1] == "["
            name = _parts("".join(piece for piece in pieces if piece not in "[]"))
            arrays[name[0]] += is_array
            number = (arrays[name[0]] - 1,) if arrays[name[0]] else ()
            table = (name[0], *number, *name[1:])
            yield line, table
        else:
            yield line, (*table, *_parts("".join(pieces[: pieces.index("=")])))


def _parts(key: str) -> list[str]:
    return [part.strip("\"'") for part in _KEY_PART.findall(key)]


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """The first line and the pieces of each statement: a header, or a key with its value."""
    start, line, depth = 1, 1, 0
    pieces = list[str]()
    for match in _TOKEN.finditer(text + "\n"):
        piece = match[0]
        if piece == "\n" and depth == 0:
            if pieces:
                yield start, pieces
            pieces = []
        elif piece != "\n" and not piece.startswith("#"):
            start = start if pieces else line
            pieces.append(piece)
            depth += (piece in {"[", "{"}) - (piece in {"]", "}"})
        line += piece.count("\n")
