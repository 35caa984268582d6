"""Template `custom`: references by a mapping and a JSON schema of the recipe."""

from typing import Any

import pytest

from bedrock_sluice.rewards.templates.base import Template, template_named
from bedrock_sluice.transforms.errors import ConfigError

Json = dict[str, Any]

MAPPING = {"compliant": "verdict", "explanation": "why"}
SCHEMA = {
    "type": "object",
    "properties": {
        "compliant": {"enum": ["Yes", "No"]},
        "explanation": {"$ref": "#/$defs/words"},
    },
    "required": ["compliant"],
    "additionalProperties": False,
    "$defs": {"words": {"type": "string", "minLength": 3}},
}
DRAFT_7 = {**SCHEMA, "$schema": "http://json-schema.org/draft-07/schema#"}


def custom(**options: object) -> Template:
    return template_named("custom", {"reference": MAPPING, **options})


@pytest.mark.parametrize("schema", [SCHEMA, DRAFT_7])
@pytest.mark.parametrize(
    ("fields", "reference"),
    [
        ({"verdict": "No", "why": "It lies."}, {"compliant": "No", "explanation": "It lies."}),
        ({"verdict": "No", "why": None, "novel": 1}, {"compliant": "No"}),
        ({"verdict": "No"}, {"compliant": "No"}),
        ({"verdict": "Maybe"}, None),
        ({"verdict": "No", "why": "x"}, None),
        ({"why": "It lies."}, None),
        ({"compliant": "No"}, None),
        ({}, None),
    ],
)
def test_a_reference_keeps_to_the_schema(schema: Json, fields: Json, reference: object) -> None:
    template = custom(schema=schema)
    assert template.from_fields(fields) == reference
    assert template.from_metadata(fields, None) == reference
    assert reference is None or template.fits(reference)


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"verdict": "Maybe", "why": [1, {"a": None}]}, True),
        ({"verdict": "No"}, False),
        ({"verdict": "No", "why": {1, 2}}, False),
        ({"verdict": "No", "why": float("nan")}, False),
    ],
)
def test_without_a_schema_every_field_has_to_be_there(fields: Json, fits: bool) -> None:
    assert (custom().from_fields(fields) is not None) is fits


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ('{"verdict": "No", "why": "It lies."}', {"compliant": "No", "explanation": "It lies."}),
        ('{"verdict": "Maybe"}', None),
        ("No", None),
        ('["No"]', None),
        ("[" * 500, None),
        ('{"verdict": "No", "why": "%s"}' % ("x" * 20_000), None),
    ],
)
def test_a_response_that_is_json_may_hold_the_fields(text: str, reference: object) -> None:
    assert custom(schema=SCHEMA).from_text(text) == reference


def test_a_reference_may_be_a_text() -> None:
    template = template_named("custom", {"reference": "gold", "schema": {"pattern": "^#### "}})
    assert template.from_fields({"gold": "#### 72"}) == "#### 72"
    assert template.from_fields({"gold": "72"}) is None
    assert template.from_fields({"gold": 72}) is None
    assert not template.fits({"gold": "#### 72"})


def test_it_may_name_what_the_prompt_asks_for() -> None:
    template = custom(marker="VERDICT:", instruction="End with VERDICT: Yes or No.")
    assert (template.marker, template.instruction) == ("VERDICT:", "End with VERDICT: Yes or No.")


NOWHERE = r"a \$ref leads nowhere, outside, or back to itself"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": None}, "needs to know where its fields come from"),
        ({"reference": {}}, "needs to know where"),
        ({"reference": ""}, "needs to know where"),
        ({"reference": {"answer": 7}}, "needs to know where"),
        ({"reference": {"": "x"}}, "needs to know where"),
        ({"shema": {}}, "'custom' has no option shema; it has reference, schema, "),
        ({"marker": " "}, "texts that are not blank"),
        ({"instruction": 7}, "texts that are not blank"),
        ({"marker": "VERDICT:", "instruction": "Be brief."}, "instruction has to hold the marker"),
        ({"schema": []}, "no JSON schema of a version that is known"),
        ({"schema": {"$schema": "https://example.com/novel"}}, "of a version that is known"),
        ({"schema": {"$schema": 7}}, "of a version that is known"),
        ({"schema": {"properties": {"a": {"type": "text"}}}}, r"no JSON schema at \$.properties"),
        ({"schema": {"properties": {"a": {"pattern": "("}}}}, r"no JSON schema at \$.properties"),
        ({"schema": {"$ref": "https://example.com/schema.json"}}, NOWHERE),
        ({"schema": {"$ref": "file:///etc/passwd"}}, NOWHERE),
        ({"schema": {"anyOf": [{"$ref": "#/$defs/none"}]}}, NOWHERE),
        ({"schema": {"$ref": "#"}}, NOWHERE),
    ],
)
def test_options_that_are_no_good_are_refused(options: Json, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        custom(**options)


def test_without_options_there_is_no_such_template() -> None:
    with pytest.raises(ConfigError, match="needs to know where"):
        template_named("custom")


def test_a_deep_reference_does_not_fit_a_schema_that_recurs() -> None:
    """A log may hold such a response; it must not end the build."""
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}}
    schema = {"properties": {"tree": {"$ref": "#/$defs/tree"}}, "$defs": {"tree": tree}}
    template = template_named("custom", {"reference": {"tree": "tree"}, "schema": schema})
    assert template.from_text('{"tree": %s}' % ("[" * 3 + "]" * 3)) is not None
    assert template.from_text('{"tree": %s}' % ("[" * 4_000 + "]" * 4_000)) is None
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    assert not template.fits({"tree": deep})
