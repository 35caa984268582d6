"""A request against botocore's model of it, as the service itself reads it.

Written apart from `flows/training/service_model.py`, which it is to find wanting.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from support.rft.state import Fault


def validate(service: str, operation: str, body: dict[str, Any]) -> None:
    """Raise the fault that AWS answers with if a request breaks the model."""
    shape: Any = _model(service).operation_model(operation).input_shape
    report = ParamValidator().validate(body, shape)
    faults = [report.generate_report()] if report.has_errors() else [*_limits(shape, body)]
    if faults:
        raise Fault("ValidationException", 400, f"{len(faults)} validation errors: {faults[0]}")


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _limits(shape: Any, value: Any) -> Iterator[str]:
    """What boto3 does not check: upper bounds, patterns and enums."""
    if getattr(shape, "is_document_type", False):
        return
    bounds, kind = shape.metadata, shape.type_name
    size = len(value) if kind in ("string", "list", "map") else value
    is_bounded = kind in ("string", "list", "map", "integer", "long", "float", "double")
    if is_bounded and not bounds.get("min", size) <= size <= bounds.get("max", size):
        yield f"{shape.name}: out of bounds"
    if kind == "string":
        # \p{…} is Java's; the only one in use stands for letters, spaces and digits.
        pattern = re.sub(r"\\p\{[LZN]\}", r"\\w\\s", bounds.get("pattern", "(?s:.*)"))
        if not re.fullmatch(pattern, value, re.ASCII):
            yield f"{shape.name}: does not match"
        if shape.enum and value not in shape.enum:
            yield f"{shape.name}: not in the enum"
    elif kind == "structure":
        for name, each in value.items():
            yield from _limits(shape.members[name], each)
    elif kind == "list":
        for each in value:
            yield from _limits(shape.member, each)
    elif kind == "map":
        for key, each in value.items():
            yield from _limits(shape.key, key)
            yield from _limits(shape.value, each)
