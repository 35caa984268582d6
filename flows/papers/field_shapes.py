"""The shapes of the fields of a dataset: which are text, and which keys objects have."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class FieldShape:
    """What all values of one field have in common.

    A value is flat if it is text, a number, a boolean, null or a list of these. `keys` are those
    that every line has, where every value is an object; of them, `flat_keys` have flat values only.
    Keys that only some lines have may be content, and are left out.
    """

    is_flat: bool
    keys: tuple[str, ...]
    flat_keys: tuple[str, ...]


def read_shapes(paths: Iterable[Path]) -> dict[str, FieldShape]:
    """Read the shapes of all fields of files of lines, in the order of their appearance."""
    shapes = dict[str, FieldShape]()
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                for name, value in msgspec.json.decode(line, type=dict[str, Any]).items():
                    shape = _shape(value)
                    shapes[name] = _merge(shapes[name], shape) if name in shapes else shape
    return shapes


def _shape(value: Any) -> FieldShape:
    items = value.items() if isinstance(value, dict) else ()
    return FieldShape(
        _is_flat(value),
        tuple(key for key, _ in items),
        tuple(key for key, each in items if _is_flat(each)),
    )


def _merge(one: FieldShape, other: FieldShape) -> FieldShape:
    return FieldShape(
        one.is_flat and other.is_flat,
        tuple(key for key in one.keys if key in other.keys),
        tuple(key for key in one.flat_keys if key in other.flat_keys),
    )


def _is_flat(value: Any) -> bool:
    if isinstance(value, list):
        return not any(isinstance(each, list | dict) for each in value)
    return not isinstance(value, dict)
