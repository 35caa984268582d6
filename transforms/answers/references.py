"""Reference answers: how a template makes them of responses, labels and corrections."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
import polars as pl

from bedrock_sluice.transforms.answers.extract import Extraction, extract

FORM_BYTES = 16

Reference = dict[str, Any] | str
Row = Mapping[str, Any]
ColumnType = pl.DataType | type[pl.DataType]

REFERENCE_COLUMNS: dict[str, ColumnType] = {"reference_answer": pl.String, "form": pl.String}
EXCHANGE_REFERENCES: dict[str, ColumnType] = {"exchange": pl.UInt32, **REFERENCE_COLUMNS}
EXCHANGE_ANSWERS: dict[str, ColumnType] = {"exchange": pl.UInt32, "reference_answer": pl.String}

_VALUE = msgspec.json.Decoder()


class ReferenceFormat(Protocol):
    """The part of a template that turns answers into references.

    Each method returns None where the input does not make a reference.
    """

    def from_fields(self, fields: Row) -> Reference | None:
        """Make a reference from the fields of a label."""
        ...

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Reference | None:
        """Make a reference from request metadata, of which `key` holds the answer."""
        ...

    def from_text(self, text: str) -> Reference | None:
        """Make a reference from the text of a whole answer."""
        ...

    def from_response(self, message: Row) -> Reference | None:
        """Make a reference from the assistant's message as it was logged."""
        ...

    def comparison_key(self, reference: Reference) -> object:
        """Return what the grader looks at: references with equal keys do not contradict."""
        ...

    def passthrough(self, fields: Row) -> Mapping[str, Any]:
        """Return the fields of a label that the line carries beside the reference."""
        ...


def references_of(reference_format: ReferenceFormat, responses: pl.DataFrame) -> pl.DataFrame:
    """Return the reference in each response, with its form: `EXCHANGE_REFERENCES`."""
    references = _read_responses(reference_format, responses)
    pairs = [
        (None, None) if each is None else encode_reference(reference_format, each)
        for each in references
    ]
    texts, forms = [text for text, _ in pairs], [form for _, form in pairs]
    columns = {"exchange": responses["exchange"], "reference_answer": texts, "form": forms}
    return pl.DataFrame(columns, schema=EXCHANGE_REFERENCES)


def logged_references(reference_format: ReferenceFormat, responses: pl.DataFrame) -> pl.DataFrame:
    """Return the reference in each response: `EXCHANGE_ANSWERS`."""
    references = _read_responses(reference_format, responses)
    return tabulate_answers(responses["exchange"], references)


def extracted_references(
    reference_format: ReferenceFormat, extraction: Extraction, responses: pl.DataFrame
) -> pl.DataFrame:
    """Return the reference in what is extracted of responses, where there is something."""
    values = zip(responses["exchange"], extract(responses["response"], extraction), strict=True)
    pairs = [
        (exchange, reference_from_value(reference_format, value))
        for exchange, value in values
        if value is not None
    ]
    return tabulate_answers([exchange for exchange, _ in pairs], [each for _, each in pairs])


def _read_responses(
    reference_format: ReferenceFormat, responses: pl.DataFrame
) -> list[Reference | None]:
    messages = map(_VALUE.decode, responses["response"])
    return [reference_format.from_response(message) for message in messages]


def tabulate_answers(
    exchanges: Sequence[int] | pl.Series, references: Iterable[Reference | None]
) -> pl.DataFrame:
    """Return `EXCHANGE_ANSWERS` of exchanges and their references."""
    texts = [None if each is None else canonical_json(each).decode() for each in references]
    return pl.DataFrame({"exchange": exchanges, "reference_answer": texts}, EXCHANGE_ANSWERS)


def encode_reference(reference_format: ReferenceFormat, reference: Reference) -> tuple[str, str]:
    """Return the JSON of a reference, and its form: a digest, equal for what the grader equates."""
    key = canonical_json(reference_format.comparison_key(reference))
    form = blake2b(key, digest_size=FORM_BYTES).hexdigest()
    return canonical_json(reference).decode(), form


def reference_from_value(reference_format: ReferenceFormat, value: object) -> Reference | None:
    """Make a reference from one value: an object with all fields of a label, or the answer."""
    if isinstance(value, dict):
        return reference_format.from_fields(value)
    reference = reference_format.from_fields({"answer": value, "final_answer": value})
    if reference is None and isinstance(value, str):
        return reference_format.from_text(value)
    return reference


def reference_from_correction(
    reference_format: ReferenceFormat, correction: object
) -> Reference | None:
    """Make a reference from a correction: people write the whole answer, or only its value."""
    if isinstance(correction, str):
        reference = reference_format.from_text(correction)
        if reference is not None:
            return reference
    return reference_from_value(reference_format, correction)


def canonical_json(value: object) -> bytes:
    """Return the JSON of a value, the same for equal values."""
    return msgspec.json.encode(value, order="deterministic")
