"""Derived tags: told from what every record has, and never instead of what was logged."""

import polars as pl
import pytest

from bedrock_sluice.transforms.derived_metadata import (
    Derivation,
    columns_needed,
    derive_tags,
    system_fingerprint,
)
from bedrock_sluice.transforms.patterns import pattern_fault

TAGS = pl.Map(pl.String, pl.String)


def _frame(**columns: list[object]) -> pl.DataFrame:
    kinds = {name: TAGS if name == "request_metadata" else pl.String for name in columns}
    return pl.DataFrame(columns, schema_overrides=kinds)


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "anthropic.claude-haiku-4-5"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet"),
        ("global.anthropic.claude-opus-4-7", "anthropic.claude-opus-4-7"),
        ("apac.amazon.nova-micro-v1:0", "amazon.nova-micro"),
        ("amazon.nova-2-lite-v1:0:256k", "amazon.nova-2-lite"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-lite-v1:0",
            "amazon.nova-lite",
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-8b-v1:0", "meta.llama3-8b"),
        ("us-gov.anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet"),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:inference-profile/us-gov.amazon.nova-pro-v1:0",
            "amazon.nova-pro",
        ),
        ("anthropic.claude-v2", "anthropic.claude-v2"),
        ("anthropic.claude-v2:1", "anthropic.claude-v2"),
        ("anthropic.claude-v2:1:200k", "anthropic.claude-v2"),
        ("anthropic.claude-instant-v1", "anthropic.claude-instant"),
        (
            "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-lite-v1:0:300k/abcdefgh1234",
            "amazon.nova-lite",
        ),
        (
            "arn:aws:bedrock:us-east-1:1:custom-model/amazon.nova-2-lite-v1:0:256k.x/abcdefgh1234",
            "amazon.nova-2-lite",
        ),
        ("arn:aws:bedrock:us-east-1:1:custom-model-deployment/abcdefgh1234", None),
        ("arn:aws:bedrock:us-east-1:1:imported-model/abcdefgh1234", None),
        ("arn:aws:bedrock:us-east-1:1:prompt/ABCDEFGHIJ:1", None),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/ab12", None),
    ],
)
def test_the_family_of_a_model_has_no_region_date_or_version(
    model_id: str, family: str | None
) -> None:
    frame = _frame(model_id=[model_id], request_metadata=[None])
    (tags,) = derive_tags(frame, [Derivation("family", "model_family")])["request_metadata"]
    assert tags == ({"family": family} if family else None)


def test_a_pattern_takes_its_first_group_and_a_logged_tag_wins() -> None:
    arns: list[object] = ["arn:aws:sts::1:assumed-role/tutor/app", "arn:aws:iam::1:user/x", None]
    frame = _frame(
        identity_arn=[*arns, arns[0]], request_metadata=[None, {"a": "b"}, {}, {"team": "logged"}]
    )
    rule = Derivation("team", "identity_arn", "assumed-role/([^/]+)/")
    metadata = derive_tags(frame, [rule])["request_metadata"].to_list()
    assert metadata == [{"team": "tutor"}, {"a": "b"}, None, {"team": "logged"}]


def test_the_same_system_prompt_has_the_same_fingerprint_in_every_dialect_of_messages() -> None:
    native = system_fingerprint('{"system": "Be brief.", "messages": []}')
    chat = system_fingerprint('{"messages": [{"role": "system", "content": "Be brief."}]}')
    other = system_fingerprint('{"system": "Be long."}')
    assert native
    assert native == chat
    assert native != other
    assert not any(map(system_fingerprint, ["{}", "[]", "no json", '{"messages": 1}', None]))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("role/([^/]+)", None),
        ("role", "needs a group"),
        ("(?=x)(y)", "is not a regular expression"),
    ],
)
def test_patterns_are_judged_before_they_are_used(pattern: str, message: str | None) -> None:
    fault = pattern_fault(pattern)
    assert fault is None if message is None else (fault or "").startswith(message)


def test_only_the_columns_that_are_needed_are_read() -> None:
    rules = [Derivation("a", "model_family"), Derivation("b", "identity_arn")]
    assert columns_needed(rules) == {"model_id", "identity_arn"}
