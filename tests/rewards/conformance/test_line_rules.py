"""Rules for many lines: what a plain chat is spared changes no finding."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from support.odd_lines import odd_lines

from bedrock_sluice.rewards.conformance.check import line_errors
from bedrock_sluice.rewards.conformance.line_rules import LineRules
from bedrock_sluice.rewards.conformance.profile import ParsedLine
from bedrock_sluice.rewards.profiles import profiles
from bedrock_sluice.transforms.chat.training_line import TrainingLine

SEED = 20_261_128
NUMBER = 5_000
LINES = list(odd_lines(NUMBER, SEED))


@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("severity", ["error", "all"])
def test_the_first_error_is_that_of_all_rules(name: str, severity: str) -> None:
    profile = profiles()[name]
    if severity == "all":
        every_rule = tuple(replace(rule, severity="error") for rule in profile.rules)
        profile = replace(profile, rules=every_rule)
    rules = LineRules([profile])
    counts = Counter[tuple[bool, str | None]]()
    for text in LINES:
        line = TrainingLine(text)
        expected = next(iter(line_errors(msgspec.json.decode(text), [profile])), None)
        assert rules.first_error(line) == expected, text
        counts[line.plain_chat is not None, expected] += 1
    assert len([rule for is_plain, rule in counts if is_plain]) >= 2  # of plain lines, too


def test_several_profiles_are_read_in_their_order() -> None:
    chosen_profiles = [profiles()[name] for name in ("nova-samples", "nova-docs", "qa")]
    rules = LineRules(chosen_profiles)
    for text in LINES:
        errors = line_errors(msgspec.json.decode(text), chosen_profiles)
        assert rules.first_error(TrainingLine(text)) == next(iter(errors), None)


@pytest.mark.parametrize("name", profiles())
def test_a_rule_reads_what_it_says(name: str) -> None:
    rules = profiles()[name].rules
    for text in LINES:
        line = TrainingLine(text)
        whole, fields = ParsedLine.of(dict(line)), ParsedLine.of(line.fields)
        for rule in rules:
            if rule.reads == "fields":
                assert rule.is_broken(whole) == rule.is_broken(fields), (rule.name, text)
            if rule.reads == "chat" and line.plain_chat:
                assert not rule.is_broken(whole), (rule.name, text)
