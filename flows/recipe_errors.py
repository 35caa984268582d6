"""What is wrong with a recipe, told with the line, the reason and the nearest valid key."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_TABLE = re.compile(r"^\s*\[+\s*([\w.\-\"']+)\s*\]+")


def explain(error: "ValidationError", path: Path, text: str, model: type[BaseModel]) -> str:
    """One message for all that is wrong, a line of it for each fault, in the file's order."""
    faults = sorted({_fault(details, text, model) for details in error.errors()})
    told = (f"{path}:{line}: {reason}" if line else f"{path}: {reason}" for line, reason in faults)
    return "\n".join(told)


def _fault(details: "ErrorDetails", text: str, model: type[BaseModel]) -> tuple[int, str]:
    place = [part for part in details["loc"] if isinstance(part, str)]
    where = ".".join(place) or "recipe"
    line = line_of(text, place)
    if details["type"] == "extra_forbidden":
        return line, f"{where} is no key of a recipe; {_hint(place, model)}"
    if details["type"] == "missing":
        return line, f"{where} is missing"
    message = details["msg"].removeprefix("Value error, ")
    return line, f"{where}: {message[:1].lower()}{message[1:]}"


def _hint(place: Sequence[str], model: type[BaseModel]) -> str:
    known = sorted(_keys_at(place[:-1], model))
    near = get_close_matches(place[-1], known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


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
    """The section that an annotation such as `Section` or `Section | None` stands for."""
    options = getattr(annotation, "__args__", None) or (annotation,)
    found = (o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return next(found, None)


def line_of(text: str, place: Sequence[str]) -> int:
    """The line (from 1) where the deepest part of `place` that can be found is written; else 0."""
    table, best, depth = list[str](), 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = [part.strip("\"'") for part in header[1].split(".")]
            keys = table
        elif key := re.match(r"\s*([\w.\-\"']+)\s*=", line):
            keys = [*table, *(part.strip("\"'") for part in key[1].split("."))]
        else:
            continue
        shared = _shared(keys, place)
        if shared == len(keys) and shared > depth:
            best, depth = number, shared
    return best


def _shared(keys: Sequence[str], place: Sequence[str]) -> int:
    """How many parts the two have in common from the start."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(keys, place, strict=False))
    )
