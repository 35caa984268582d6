"""Advice about the failure of a job, by the service's message."""

import pytest

from bedrock_sluice.transforms.training.failures import advise


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ("The training data has 99 lines; 100 to 20000 are needed.", "raise maxPromptLength"),
        ("Dataset contains fewer than 100 samples", "raise maxPromptLength"),
        ("Number of prompts exceeds the maximum of 20000 prompts", "lower max_lines"),
        ("Lambda invocation timed out after 3.00 seconds", "raise the timeout"),
        ("Unable to assume role arn:aws:iam::1:role/rft", "`sluice doctor RECIPE`"),
        ("Access Denied when reading s3://acme/train.jsonl", "`sluice iam RECIPE`"),
        ("KMS key is disabled", "model-key"),
        ("Reward function returned an invalid response", "`sluice grade RECIPE`"),
        ("ServiceQuotaExceeded: too many concurrent jobs", "more quota"),
        ("invalid_file", "`sluice check"),
        ("An internal server error occurred. Try again.", "another attempt"),
    ],
)
def test_a_known_message_has_advice(message: str, part: str) -> None:
    assert part in (advise(message) or "")


def test_an_unknown_message_has_none() -> None:
    assert advise("<b>The moon was full</b>") is None
