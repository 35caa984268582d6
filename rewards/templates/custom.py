"""Template `custom`: a reference of your own shape, told by the recipe.

    [template]
    name = "custom"
    reference = { compliant = "verdict", explanation = "why" }
    schema = { type = "object", required = ["compliant"] }
    marker = "VERDICT:"
    instruction = "Begin the last line with VERDICT: and say Yes or No."

`reference` tells from which field each field of the reference comes: from a field of a label, a key
of the request metadata, or a field of a response that is a JSON object; whichever of them the
recipe asks for answers. If it is a text, the reference is the value of that one field, a text.
`schema` is a JSON schema of the reference. It stands alone: nothing is fetched for it; `format` in
it is a remark. Fields that are missing or null are left out, and the schema tells which ones must
be there; without a schema, all of them. `marker` and `instruction`, which may be left out, are what
the prompt has to ask for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY, specification_with

from bedrock_sluice.rewards.templates.base import Reference, Template, from_cell
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.errors import ConfigError

OPTIONS = ("reference", "schema", "marker", "instruction")
MAX_RESPONSE_CHARS = 20_000  # of a logged response that is taken for a reference


@dataclass(frozen=True)
class CustomTemplate(Template):
    """A reference by the recipe's `reference` and `schema`; without options, it fits nothing."""

    reference: Mapping[str, str] | str = ""
    validator: Any = None  # one of jsonschema
    marker: str | None = None
    instruction: str | None = None

    name = "custom"
    about = "what the recipe's reference and schema say"

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From the fields that `reference` names."""
        if isinstance(self.reference, str):
            value = fields.get(self.reference)
            return self._sound(value) if isinstance(value, str) else None
        values = {name: fields.get(source) for name, source in self.reference.items()}
        return self._sound({name: value for name, value in values.items() if value is not None})

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Reference | None:  # noqa: ARG002
        """From the keys that `reference` names, whatever `key` is."""
        return self.from_fields(metadata)

    def from_text(self, text: str) -> Reference | None:
        """From a text that is a JSON object with the fields that `reference` names."""
        fields = from_cell(text) if len(text) <= MAX_RESPONSE_CHARS else None
        return self.from_fields(fields) if isinstance(fields, dict) else None

    def fits(self, reference: object) -> bool:
        """Whether it is an object or a text, as `reference` says, and keeps to the schema."""
        if isinstance(self.reference, str):
            has_text = isinstance(reference, str) and bool(reference.strip() and self.reference)
            return has_text and _is_valid(self.validator, reference)
        if not isinstance(reference, dict) or not reference:
            return False
        if self.validator is None:
            return all(reference.get(name) is not None for name in self.reference)
        return _is_valid(self.validator, reference)

    def with_options(self, options: Mapping[str, Any]) -> "CustomTemplate":
        """With `OPTIONS` of the recipe, of which `reference` is needed; `schema` is an object.

        Raises:
            ConfigError: an option is unknown, missing or no good.
        """
        self._check_options(options, OPTIONS)
        reference = options.get("reference")
        names = [*reference, *reference.values()] if isinstance(reference, dict) else [reference]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ConfigError(
                '[template] reference: template "custom" needs to know where its fields come from, '
                'as in reference = { answer = "label_field" }'
            )
        texts = {key: options[key] for key in ("marker", "instruction") if key in options}
        if not all(isinstance(text, str) and text.strip() for text in texts.values()):
            raise ConfigError("[template] marker and instruction are texts that are not blank")
        if "instruction" in texts and texts.get("marker", "") not in texts["instruction"]:
            raise ConfigError("[template] instruction has to hold the marker that it asks for")
        schema = options.get("schema")
        validator = None if schema is None else _validator(schema)
        return CustomTemplate(reference=options["reference"], validator=validator, **texts)


def _is_valid(validator: Any, reference: object) -> bool:
    try:
        return validator is None or bool(validator.is_valid(reference))
    except RecursionError:  # too deep for it; a log may hold such a response
        return False
    except Unresolvable:
        raise ConfigError("[template] schema: a $dynamicRef leads nowhere") from None


def _validator(schema: object) -> Any:
    """The validator of a schema that is sound and refers to nothing outside of itself."""
    kind: Any = Draft202012Validator
    if isinstance(schema, dict) and "$schema" in schema:
        dialect = schema["$schema"]
        kind = validator_for(schema, default=None) if isinstance(dialect, str) else None
    if kind is None or not isinstance(schema, dict):
        raise ConfigError("[template] schema: no JSON schema of a version that is known")
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"[template] schema: no JSON schema at {error.json_path}") from None
    _check_references(schema, kind)
    return kind(schema, registry=EMPTY_REGISTRY)


def _check_references(schema: JsonObject, kind: Any) -> None:
    """Every `$ref` leads to a place in the schema, and not round in circles."""
    specification = specification_with(kind.META_SCHEMA["$schema"])
    resolver = EMPTY_REGISTRY.resolver_with_root(specification.create_resource(schema))
    try:
        for reference in _references(schema):
            resolver.lookup(reference)
        # A circle is seen only by walking it: a trial finds it now, not at the first record.
        kind(schema, registry=EMPTY_REGISTRY).is_valid({})
    except (RecursionError, Unresolvable):
        raise ConfigError(
            "[template] schema: a $ref leads nowhere, outside, or back to itself; write schemas "
            "that stand alone"
        ) from None


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, dict):
        target = schema.get("$ref")
        if isinstance(target, str):
            yield target
        yield from _references(list(schema.values()))
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


TEMPLATE = CustomTemplate()
