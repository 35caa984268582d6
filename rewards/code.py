"""Template `code`: test cases that a program has to pass.

Source: Amazon Nova user guide, data preparation for RFT, "Code"; no grader for it is published, and
Sluice has none, because grading runs what a model wrote: that belongs into a sandbox of your own.
In CSV, `test_cases` is JSON text.
"""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.template import Reference, Template, from_cell


class CodeTemplate(Template):
    """`{"code": "...", "test_cases": [{"input", "expected_output"}], "all_tests_pass": true}`."""

    name = "code"
    about = '{"code": "…", "test_cases": [{"input": [1, 2], "expected_output": 3}]}'
    profiles = ("nova-docs", "code")

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From `test_cases`, and `code` and `all_tests_pass` if they are there.

        Nothing is run: `all_tests_pass` is what the label says.
        """
        made = dict[str, Any]()
        code, passes = fields.get("code"), from_cell(fields.get("all_tests_pass"))
        if isinstance(code, str) and code.strip():
            made["code"] = code
        made["test_cases"] = from_cell(fields.get("test_cases"))
        if isinstance(passes, bool):
            made["all_tests_pass"] = passes
        return self._sound(made)

    def fits(self, reference: object) -> bool:
        """Whether there are test cases, each with `input` and `expected_output`."""
        cases = reference.get("test_cases") if isinstance(reference, dict) else None
        return isinstance(cases, list) and bool(cases) and all(map(_is_case, cases))


def _is_case(case: object) -> bool:
    return isinstance(case, dict) and case.keys() >= {"input", "expected_output"}


TEMPLATE = CodeTemplate()
