"""What is measured of a grader's scores, as `sluice grade --json` and the manifest state it.

`docs/rewards.md` explains the verdicts. A field is added, renamed or removed only together with the
manifest's `SCHEMA_VERSION`.
"""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a finding, and a sentence that explains it."""

    name: str
    message: str


class Scores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How scores are spread: 11 deciles, from lowest to highest, and bins between `edges`."""

    mean: float
    std: float
    deciles: tuple[float, ...]
    histogram: tuple[int, ...]
    edges: tuple[float, float]
    share_zero: float
    share_one: float
    share_above_zero: float


class Problems(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of all samples; `kinds` are the most frequent texts, each with its count."""

    share: float
    timeout_share: float
    kinds: tuple[tuple[str, int], ...]


class SliceScores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The responses with one value of a slice; None stands for those without a value."""

    slice: str
    value: str | None
    responses: int
    scored: int
    mean: float | None
    share_zero: float | None
    share_one: float | None


class Repeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A second run over some of the samples; `compared` had a score both times.

    `noise_share` is what differs between the runs, as a share of the variance of the scores.
    """

    compared: int
    differing: int
    largest_difference: float
    failed_once: int
    noise_share: float


class Length(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Spearman's correlation of score and response length; None where either never changes."""

    responses: int
    correlation: float | None
    strength: Literal["unknown", "none", "some", "strong"]
    message: str


class WithinPrompts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prompts with two or more scored responses; population standard deviations."""

    prompts: int
    zero_variance_share: float | None
    mean_std: float | None


class ReadinessFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The readiness of a grader, with rounded numbers and without content of the logs.

    `verdict` is the name of the first of `findings`. `circular` responses were not graded, because
    the reference answer of their line is made of them. `slices` hold values of the logs' metadata,
    and are left out of a manifest.
    """

    verdict: str
    findings: list[Finding]
    warnings: list[Finding]
    responses: int
    prompts: int
    circular: int
    mean_response_tokens: float | None
    scores: Scores | None
    problems: Problems
    length: Length
    within_prompts: WithinPrompts
    repeat: Repeat | None
    slices: list[SliceScores] | msgspec.UnsetType = msgspec.UNSET
