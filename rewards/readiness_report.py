"""A grader's readiness, told: as lines of text for people, and as facts for manifests."""

from typing import Any

import msgspec

from bedrock_sluice.rewards.readiness import Readiness
from bedrock_sluice.transforms.facts.readiness_facts import (
    Finding,
    ReadinessFacts,
    SliceScores,
)
from bedrock_sluice.transforms.printable import printable

FACT_DIGITS = 6

_BARS = " ▁▂▃▄▅▆▇█"


def facts(readiness: Readiness, *, with_slices: bool = False) -> ReadinessFacts:
    """Return the readiness as public JSON values: rounded, and without content.

    Slices hold values of the logs' metadata, so they are there only when asked for.
    """
    measures = msgspec.to_builtins(readiness.measures)
    if not with_slices:
        del measures["slices"]
    findings = {"findings": readiness.findings, "warnings": readiness.warnings}
    content = {"verdict": readiness.verdict, **msgspec.to_builtins(findings), **_round(measures)}
    return msgspec.convert(content, ReadinessFacts)


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, FACT_DIGITS)
    if isinstance(value, dict):
        return {key: _round(each) for key, each in value.items()}
    return [_round(each) for each in value] if isinstance(value, list | tuple) else value


def summary_lines(readiness: Readiness) -> list[str]:
    """The judgement as lines of text for people; the verdict is the last."""
    of = readiness.measures
    lines = [f"responses graded: {of.responses:,}, of {of.prompts:,} prompts"]
    if of.scores:
        (low, high), median = of.scores.edges, of.scores.deciles[5]
        most = max(of.scores.histogram)
        # Rounded up, so that a bin with a single response is not drawn as empty.
        bars = "".join(_BARS[-(-number * 8 // most)] for number in of.scores.histogram)
        lines += [
            f"score: mean {of.scores.mean:.3f}, std {of.scores.std:.3f}, median {median:.3g}, "
            f"{of.scores.share_zero:.1%} are 0, {of.scores.share_one:.1%} are 1",
            f"scores from {low:g} to {high:g}: |{bars}|",
        ]
    lines += [f"problem, {number:,} times: {printable(text)}" for text, number in of.problems.kinds]
    if of.repeat:
        lines.append(f"graded twice: {of.repeat.compared:,}, differing: {of.repeat.differing:,}")
    lines.append(f"score and length: {of.length.message}")
    within, label = of.within_prompts, "prompts with several responses"
    if within.zero_variance_share is None:
        lines.append(f"{label}: none")
    else:
        flat, std = within.zero_variance_share, within.mean_std
        lines.append(
            f"{label}: {within.prompts:,}, all scores the same in {flat:.1%}, mean std {std:.3f}"
        )
    lines += [_slice_line(each) for each in of.slices]
    lines += [_finding_line("warning", each) for each in readiness.warnings]
    verdict, *others = readiness.findings
    lines += [_finding_line("also", each) for each in others]
    return [*lines, _finding_line("verdict", verdict)]


def _finding_line(word: str, finding: Finding) -> str:
    return f"{word} {finding.name}: {finding.message}"


def _slice_line(of: SliceScores) -> str:
    value = "(none)" if of.value is None else printable(of.value.replace("\n", " "))
    mean = "no score" if of.mean is None else f"mean {of.mean:.3f}"
    return f"{printable(of.slice)} {value}: {of.responses:,} responses, {mean}"
