"""Template `code`: test cases that a program has to pass.

Each case has `expected_output`, as AWS's documents want it, and the same as text in `output`, which
AWS's Codeforces sample grader compares with what a program prints when it reads `input`. Sluice has
no grader for it: grading runs what a model wrote, and that belongs in a sandbox of your own. In
CSV, `test_cases` is JSON text.
Sources: Amazon Nova user guide, data preparation for RFT, "Code"; amazon-bedrock-samples,
reward-functions/codeforces_rew_func.py.
"""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import (
    has_object,
    is_text,
    object_rule,
    reference_field,
)
from bedrock_sluice.rewards.templates.base import Reference, Template, from_cell


class CodeTemplate(Template):
    """`{"code": "...", "test_cases": [{"input", "expected_output", "output"}], ...}`."""

    name = "code"
    about = '{"code": "…", "test_cases": [{"input": "1 2", "expected_output": 3, "output": "3"}]}'
    profiles = ("nova-docs", "code")

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From `test_cases`, and `code` and `all_tests_pass` if they are there.

        A case has `input`, and `expected_output` or `output`; the other is made from it.
        Nothing is run: `all_tests_pass` is what the label says.
        """
        reference = dict[str, Any]()
        code, passes = fields.get("code"), from_cell(fields.get("all_tests_pass"))
        if isinstance(code, str) and code.strip():
            reference["code"] = code
        cases = from_cell(fields.get("test_cases"))
        reference["test_cases"] = (
            [_case(each) for each in cases] if isinstance(cases, list) else None
        )
        if isinstance(passes, bool):
            reference["all_tests_pass"] = passes
        return self._sound(reference)

    def fits(self, reference: object) -> bool:
        """Whether there are test cases, each with `input` and `expected_output`."""
        cases = reference.get("test_cases") if isinstance(reference, dict) else None
        if not isinstance(cases, list) or not cases:
            return False
        return all(
            isinstance(case, dict) and case.keys() >= {"input", "expected_output"} for case in cases
        )


def _case(case: object) -> object:
    """The case with what is expected under both names; `output` as Python would print it."""
    if not isinstance(case, dict) or not case.keys() & {"expected_output", "output"}:
        return case
    expected = case.get("expected_output", case.get("output"))
    output = case.get("output", expected)
    text = output if isinstance(output, str) else str(output)
    return {**case, "expected_output": expected, "output": text}


TEMPLATE = CodeTemplate()


def _has_runnable_cases(line: ParsedLine) -> bool:
    """Whether the published grader finds cases to run: below `metadata` first, as it looks."""
    metadata = line.line.get("metadata")
    below = metadata.get("test_cases") if isinstance(metadata, dict) else None
    cases = below or line.line.get("test_cases") or reference_field(line, "test_cases")
    if not isinstance(cases, list) or not cases:
        return False
    return all(
        isinstance(case, dict)
        and isinstance(case.get("input", ""), str)
        and isinstance(case.get("output"), str)
        for case in cases
    )


PROFILES = (
    Profile(
        name="code",
        kind="grader",
        about="AWS's documents on code",
        rules=(
            rules.MESSAGES,
            object_rule('{"code", "test_cases": [{"input", "expected_output"}], "all_tests_pass"}'),
            Rule(
                "test-cases",
                "`test_cases` of the reference is not a list of objects with `input` and "
                "`expected_output`, or is empty",
                "give at least one test case",
                lambda s: has_object(s) and not TEMPLATE.fits(s.reference),
                reads="fields",
            ),
            Rule(
                "code",
                "`code` of the reference is not a text, or is blank",
                "give a solution as text, if the grader reads it",
                lambda s: has_object(s) and not is_text(reference_field(s, "code")),
                "warning",
                reads="fields",
            ),
        ),
    ),
    Profile(
        name="codeforces",
        kind="grader",
        about="Codeforces grader: programs that read and print",
        rules=(
            rules.MESSAGES,
            Rule(
                "test-cases",
                "`test_cases` is not a list of objects with texts as `input` and `output`, or is "
                "empty: no program would pass",
                "write what a program reads and prints as texts",
                lambda s: not _has_runnable_cases(s),
                reads="fields",
            ),
        ),
    ),
)
"""The shape that AWS documents, and the published Codeforces grader, which runs programs."""
