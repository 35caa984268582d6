"""Derived tags: request metadata for records that were logged without it.

SDKs drop the field on the way, so a recipe may say from what else a key can be told. A tag that was
logged always wins over one that is derived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import polars as pl

SYSTEM_DIGEST_BYTES = 6

# `us.anthropic.claude-haiku-4-5-20251001-v1:0`, as an id or in an ARN, where the id of a custom
# model may follow it.
_FAMILY = (
    r"(?:^|/)(?:(?:us-gov|[a-z]{2,6})\.)??([a-z0-9]+\.(?:claude-v\d+|[a-z0-9-]+?))"
    r"(?:-\d{8})?(?:-v\d+)?(?::[\w.]+)*(?:/[a-z0-9]{12})?$"
)
_SYSTEM_ROLES = frozenset({"system", "developer"})


@dataclass(frozen=True, slots=True)
class Derivation:
    """One key, and the column that it is told from.

    `source` is `identity_arn`, `model_id`, `model_family` or `system_prompt` (a fingerprint of it);
    of the text there, `pattern` (Rust's regex, linear in time) takes its first group.
    """

    key: str
    source: str
    pattern: str | None = None


def model_name(model_id: pl.Expr) -> pl.Expr:
    """A model by one name, whether its id was logged or an ARN that ends in it."""
    return model_id.str.split("/").list.last()


def model_family(model_id: pl.Expr) -> pl.Expr:
    """The family of a model, such as `amazon.nova-lite`; null where an id has another form."""
    return model_id.str.extract(_FAMILY, 1)


def columns_needed(derivations: Sequence[Derivation]) -> set[str]:
    """The landed columns that the derivations read."""
    of_source = {"model_family": "model_id", "system_prompt": "input_body"}
    return {of_source.get(each.source, each.source) for each in derivations}


def derive_tags(landed: pl.DataFrame, derivations: Sequence[Derivation]) -> pl.DataFrame:
    """The same rows, with the derived keys added to `request_metadata` where they lack."""
    texts = landed.select(_text(landed, each).alias(str(i)) for i, each in enumerate(derivations))
    keys = [each.key for each in derivations]
    tags = list[dict[str, str] | None]()
    for own_tags, values in zip(
        landed["request_metadata"].to_list(), texts.iter_rows(), strict=True
    ):
        pairs = zip(keys, values, strict=True)
        derived_tags = {key: value for key, value in pairs if value is not None}
        tags.append({**derived_tags, **(own_tags or {})} or None)  # a logged tag wins
    kind = landed.schema["request_metadata"]
    return landed.with_columns(request_metadata=pl.Series(tags, dtype=kind))


def _text(landed: pl.DataFrame, each: Derivation) -> pl.Expr:
    if each.source == "system_prompt":
        prints = [system_fingerprint(body) for body in landed["input_body"]]
        text = pl.lit(pl.Series(prints, dtype=pl.String))
    elif each.source == "model_family":
        text = model_family(pl.col("model_id"))
    else:
        text = pl.col(each.source)
    return text.str.extract(each.pattern, 1) if each.pattern else text


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    system: msgspec.Raw = msgspec.Raw()
    messages: list[_Message] = []


_BODY = msgspec.json.Decoder(_Body)


def system_fingerprint(body: str | None) -> str | None:
    """A short digest of the system prompt as it was logged; None where there is none."""
    if body is None:
        return None
    try:
        read = _BODY.decode(body)
    except (ValueError, RecursionError):
        return None
    texts = [read.system, *(m.content for m in read.messages if m.role in _SYSTEM_ROLES)]
    prompt = b"\0".join(bytes(text) for text in texts if text)
    return blake2b(prompt, digest_size=SYSTEM_DIGEST_BYTES).hexdigest() if prompt else None
