"""What a request to AWS breaks of the service's own model, told before anything is sent.

boto3 checks what is required, types, unions and lower bounds; the upper bounds, patterns and enums
that its own model holds it leaves to the service, which answers late and with one fault at a time.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from math import inf
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "structure": ((Mapping,), "an object"),
    "map": ((Mapping,), "an object"),
    "list": ((list, tuple), "a list"),
    "string": ((str,), "a string"),
    "boolean": ((bool,), "true or false"),
    "integer": ((int,), "a whole number"),
    "long": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "double": ((int, float), "a number"),
}
_WIDTHS = {"integer": 2.0**31, "long": 2.0**63, "float": inf, "double": inf}

Faults = Iterator[str]


def faults(service: str, operation: str, request: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with a request, as `path: rule`; empty where nothing is.

    Needs no credentials, region or network. No value of the request is repeated. Blobs and
    timestamps, which boto3 converts itself, and patterns that only Java can read, are not judged.
    """
    shape = _model(service).operation_model(operation).input_shape
    return list(_value(shape, request, "")) if shape else []


@lru_cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _value(shape: Shape, value: Any, path: str) -> Faults:
    kind = shape.type_name
    if kind not in _KINDS or getattr(shape, "is_document_type", False):
        return
    types, words = _KINDS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path or 'request'}: must be {words}"
    elif kind in _CHECKS:
        yield from _CHECKS[kind](shape, value, path)


def _structure(shape: Any, value: Mapping[str, Any], path: str) -> Faults:
    names = ", ".join(shape.members)
    if shape.is_tagged_union and len(value) != 1:
        yield f"{path}: must have exactly one of {names}"
    for name in shape.required_members:
        if name not in value:
            yield f"{_below(path, name)}: is missing"
    for name, each in value.items():
        if name in shape.members:
            yield from _value(shape.members[name], each, _below(path, name))
        else:
            yield f"{_below(path, name)}: is not known; known here: {names}"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _list(shape: Any, value: list[Any], path: str) -> Faults:
    yield from _bounds(shape, len(value), path, "must have {} items")
    for number, each in enumerate(value):
        yield from _value(shape.member, each, f"{path}[{number}]")


def _map(shape: Any, value: Mapping[str, Any], path: str) -> Faults:
    """Entries are told by their number: the keys of some maps are nobody's business."""
    yield from _bounds(shape, len(value), path, "must have {} entries")
    for number, (key, each) in enumerate(value.items()):
        yield from _value(shape.key, key, f"{path} key {number}")
        yield from _value(shape.value, each, f"{path} value {number}")


def _string(shape: Any, value: str, path: str) -> Faults:
    """A pattern is tried within the length alone, which bounds how long that can take."""
    if shape.enum and value not in shape.enum:
        yield f"{path}: must be one of {', '.join(shape.enum)}"
    wrong_length = list(_bounds(shape, len(value), path, "must have {} characters"))
    yield from wrong_length
    text = shape.metadata.get("pattern")
    pattern = _pattern(text) if text and not wrong_length else None
    if pattern and not pattern.fullmatch(value):
        yield f"{path}: must match {text}"


@lru_cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """The model's patterns are Java's: `\\d` and `\\s` are ASCII, `\\p{L}` is unknown to Python."""
    try:
        return re.compile(text, re.ASCII)
    except re.error:
        return None


def _number(shape: Any, value: float, path: str) -> Faults:
    width = _WIDTHS[shape.type_name]
    if not -width < value < width:  # not a number, infinite, or more than the type holds
        yield f"{path}: must be a finite number within {shape.type_name}"
    else:
        yield from _bounds(shape, value, path, "must be {}")


def _bounds(shape: Any, size: float, path: str, rule: str) -> Faults:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is None or low <= size) and (high is None or size <= high):
        return
    if low is None or high is None:
        span = f"at least {low}" if high is None else f"at most {high}"
    else:
        span = f"{low} to {high}"
    yield f"{path}: {rule.format(span)}"


_CHECKS: dict[str, Callable[[Any, Any, str], Faults]] = {
    "structure": _structure,
    "map": _map,
    "list": _list,
    "string": _string,
    "integer": _number,
    "long": _number,
    "float": _number,
    "double": _number,
}
