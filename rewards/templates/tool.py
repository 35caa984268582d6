"""Template `tool`: the one call that is right, for a prompt that offers `tools`.

The reference is shaped as AWS's documents want it. `ground_truth` beside it is the same call in
Python's syntax, which AWS's BFCL sample grader compares with the text of a response; it is left out
where the tool or a parameter has a name that Python can't write.
Sources: Amazon Nova user guide, data preparation for RFT, "Tool use"; amazon-bedrock-samples,
reward-functions/bfcl_tool_call_rew_func.py.
In CSV, `tool_parameters` is JSON text. So it should be in Parquet, if tools differ in their
parameters: columns of objects there hold every key in every row, as null.
"""

import ast
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

import msgspec

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile, Rule
from bedrock_sluice.rewards.conformance.reference_rules import (
    has_object,
    is_text,
    object_rule,
    reference_field,
)
from bedrock_sluice.rewards.templates.base import Reference, Template, from_cell, is_json


class ToolTemplate(Template):
    """`{"tool_called": "weather", "tool_parameters": {...}, "ground_truth": [...], ...}`."""

    name = "tool"
    about = (
        '{"tool_called": "weather", "tool_parameters": {"city": "Bern"}, '
        '"expected_behavior": "Call weather with city=\\"Bern\\"", '
        '"ground_truth": ["weather(city=\'Bern\')"]}'
    )
    needs_tools = True
    profiles = ("nova-docs", "tool")
    grader = "tool_grader"

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """From `tool_called`, and `tool_parameters` and `expected_behavior` if they are there."""
        name, parameters = fields.get("tool_called"), from_cell(fields.get("tool_parameters", {}))
        if not isinstance(name, str) or not isinstance(parameters, dict) or not is_json(parameters):
            return None
        name = name.strip()
        behavior = fields.get("expected_behavior")
        if not isinstance(behavior, str) or not behavior.strip():
            behavior = _in_words(name, parameters)
        reference = {
            "tool_called": name,
            "tool_parameters": parameters,
            "expected_behavior": behavior,
        }
        if call := _as_python(name, parameters):
            reference["ground_truth"] = [call]
        return self._sound(reference)

    def from_text(self, text: str) -> Reference | None:
        """From a text that is nothing but the fields of a label as JSON."""
        fields = from_cell(text)
        return self.from_fields(fields) if isinstance(fields, dict) else None

    def from_response(self, message: Mapping[str, Any]) -> Reference | None:
        """From the call of a message that has one; several have no order to be graded by."""
        calls = message.get("tool_calls")
        if not calls:
            return super().from_response(message)
        if not isinstance(calls, list) or len(calls) > 1:
            return None
        function = calls[0].get("function") if isinstance(calls[0], dict) else None
        if not isinstance(function, dict):
            return None
        arguments = function.get("arguments") or "{}"
        return self.from_fields({"tool_called": function.get("name"), "tool_parameters": arguments})

    def fits(self, reference: object) -> bool:
        """Whether it names a tool, and has parameters in an object."""
        if not isinstance(reference, dict):
            return False
        name = reference.get("tool_called")
        is_named = isinstance(name, str) and bool(name.strip())
        return is_named and isinstance(reference.get("tool_parameters"), dict)

    def comparison_key(self, reference: Reference) -> object:
        """The call, however it is told in words."""
        if isinstance(reference, str):
            return reference
        return {key: reference.get(key) for key in ("tool_called", "tool_parameters")}

    def accepts(self, line: Mapping[str, Any]) -> bool:
        """Whether the reference fits, and calls one of the line's tools."""
        reference = line.get("reference_answer")
        if not isinstance(reference, dict) or not self.fits(reference):
            return False
        return reference["tool_called"] in rules.tool_names(ParsedLine.of(dict(line)))


def is_call(text: str) -> bool:
    """Whether a text is one call in Python's syntax, as the BFCL grader reads it."""
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return False
    callee = body.func if isinstance(body, ast.Call) else None
    while isinstance(callee, ast.Attribute):
        callee = callee.value
    return isinstance(callee, ast.Name)


def _are_calls(calls: object) -> bool:
    texts = [calls] if isinstance(calls, str) else calls
    if not isinstance(texts, list) or not texts:
        return False
    return all(isinstance(text, str) and is_call(text) for text in texts)


def _as_python(name: str, parameters: dict[str, Any]) -> str | None:
    """The call in Python's syntax; None where a name is none in Python."""
    names = [*name.split("."), *parameters]
    if not all(each.isidentifier() and not iskeyword(each) for each in names):
        return None
    arguments = ", ".join(f"{key}={value!r}" for key, value in sorted(parameters.items()))
    return f"{name}({arguments})"


def _in_words(name: str, parameters: dict[str, Any]) -> str:
    """As AWS's example says it; in the order of names, so that equal calls are told alike."""
    arguments = [
        f"{key}={msgspec.json.encode(value, order='deterministic').decode()}"
        for key, value in sorted(parameters.items())
    ]
    return f"Call {name} with {', '.join(arguments)}" if arguments else f"Call {name}"


TEMPLATE = ToolTemplate()

PROFILES = (
    Profile(
        name="tool",
        kind="grader",
        about="AWS's documents on tool use",
        rules=(
            rules.MESSAGES,
            object_rule('{"tool_called", "tool_parameters", "expected_behavior"}'),
            Rule(
                "tool-called",
                "`tool_called` of the reference is not a text, or `tool_parameters` is not an "
                "object",
                "name the tool, and give its parameters as an object",
                lambda s: has_object(s) and not TEMPLATE.fits(s.reference),
                reads="fields",
            ),
            Rule(
                "expected-behavior",
                "the reference has no `expected_behavior`, as AWS's example has",
                "say what is expected in words, if the grader reads it",
                lambda s: has_object(s) and not is_text(reference_field(s, "expected_behavior")),
                "warning",
                reads="fields",
            ),
            rules.TOOLS_SHAPE,
            Rule(
                "tool-offered",
                "the tool of the reference is not among the `tools` of the line: no model can call "
                "it",
                "describe the tool in `tools`",
                lambda s: (
                    has_object(s) and reference_field(s, "tool_called") not in rules.tool_names(s)
                ),
                reads="fields",
            ),
        ),
    ),
    Profile(
        name="bfcl",
        kind="grader",
        about="BFCL grader: calls as text",
        rules=(
            rules.MESSAGES,
            Rule(
                "reference-object",
                "`reference_answer` is neither missing nor an object: the grader fails on it",
                'make it {"ground_truth": ["f(x=1)"]}',
                lambda s: s.reference is not None and not isinstance(s.reference, dict),
                reads="fields",
            ),
            Rule(
                "ground-truth",
                "`ground_truth` is neither a call in Python's syntax nor a list of such: every "
                "answer would score 0",
                'write the calls as texts, such as "f(x=1)"; names that are not identifiers of '
                "Python do not fit",
                lambda s: (
                    not _are_calls(reference_field(s, "ground_truth") or s.line.get("ground_truth"))
                ),
                reads="fields",
            ),
        ),
    ),
)
"""The shape that AWS documents, and the published BFCL grader, which reads `ground_truth`."""
