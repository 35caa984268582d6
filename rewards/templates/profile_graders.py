"""Profiles of the graders that AWS publishes: what each has to find in a line.

`math`, `math-openweight`, `qa` and `judge` are the graders of amazon-bedrock-samples
(reward-functions/: gsm8k, gsm8k_gptoss, finqa, pandalm), and so are `bfcl` and `codeforces`; `tool`
and `code` are the shapes of references in the data preparation pages of the Amazon Nova user guide.
"""

import re
from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import Fix, ParsedLine, Profile, Rule
from bedrock_sluice.rewards.templates.math import TEMPLATE as MATH
from bedrock_sluice.rewards.templates.math import is_plain_number
from bedrock_sluice.rewards.templates.qa import TEMPLATE as QA
from bedrock_sluice.rewards.templates.qa import QaTemplate, QaTextTemplate, is_scored
from bedrock_sluice.rewards.templates.tool import is_call
from bedrock_sluice.transforms.chat.messages import JsonObject

_HASHES = re.compile(r"#### (-?[0-9.,]+)")

QA_TEXT = QaTextTemplate()

_JUDGED = ("answer", "expectedAnswer", "ground_truth")  # first that is there


def _object(keys: str) -> Rule:
    return Rule(
        "reference-object",
        "`reference_answer` is no object: the grader fails on it",
        f"make it {keys}",
        lambda s: not isinstance(s.reference, dict) or not s.reference,
    )


def _field(parsed_line: ParsedLine, key: str) -> Any:
    """A field of the reference, if that is an object that has anything in it."""
    return parsed_line.reference.get(key) if isinstance(parsed_line.reference, dict) else None


def _has_object(parsed_line: ParsedLine) -> bool:
    return isinstance(parsed_line.reference, dict) and bool(parsed_line.reference)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _marker(marker: str) -> Rule:
    return Rule(
        "marker",
        f"no message asks for `{marker}`, after which the grader looks for the answer",
        f"have the prompt ask for the answer after {marker}",
        lambda s: bool(s.messages) and not any(marker in _text(m) for m in s.messages),
        "warning",
    )


def _text(message: JsonObject) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(block["text"] for block in content if rules.is_text_block(block))
    return content if isinstance(content, str) else ""


# --- math: a number as text


def _mend_math(line: JsonObject) -> bool:
    reference = line.get("reference_answer")
    if MATH.fits(reference):
        return False
    if isinstance(reference, dict):
        made = MATH.from_fields(reference)
        made = made and {**reference, "final_answer": made["final_answer"]}
    else:
        made = MATH.from_text(reference) if isinstance(reference, str) else None
        made = made or MATH.from_fields({"final_answer": reference})
    if made:
        line["reference_answer"] = made
    return bool(made)


_MATH = Profile(
    name="math",
    kind="grader",
    about="GSM8K grader for Amazon Nova",
    rules=(
        rules.MESSAGES,
        _object('{"final_answer": "72", "steps": […]}'),
        Rule(
            "final-answer",
            "`final_answer` is no plain number as text; the grader compares texts without commas",
            "write the number as text, without commas, units or a currency sign",
            lambda s: _has_object(s) and not MATH.fits(s.reference),
        ),
        _marker(MATH.marker or ""),
    ),
    fixes=(Fix("the final answer is written as a plain number in a text", _mend_math),),
)


# --- math-openweight: a solution that ends in the number


def _mend_hashes(line: JsonObject) -> bool:
    reference = line.get("reference_answer")
    if _has_hashes(reference):
        return False
    fields = reference if isinstance(reference, dict) else {"final_answer": reference}
    text = reference if isinstance(reference, str) else ""
    made = MATH.from_fields(fields) or MATH.from_text(text)
    if made is None:
        return False
    line["reference_answer"] = "\n".join([*made["steps"], f"#### {made['final_answer']}"])
    return True


def _has_hashes(reference: object) -> bool:
    text = reference.get("text") if isinstance(reference, dict) else reference
    numbers = _HASHES.findall(text) if isinstance(text, str) else []
    return bool(numbers) and is_plain_number(numbers[-1].replace(",", ""))


_MATH_OPENWEIGHT = Profile(
    name="math-openweight",
    kind="grader",
    about="GSM8K grader for open-weight models",
    rules=(
        rules.MESSAGES,
        Rule(
            "reference-hashes",
            "`reference_answer` is not a text whose last `####` is followed by a plain number: "
            "every answer would score 0",
            'make it a text that ends in "#### 72"',
            lambda s: not _has_hashes(s.reference),
        ),
        _marker(MATH.marker or ""),
    ),
    fixes=(Fix("the reference is written as a text that ends in `####`", _mend_hashes),),
)


# --- qa: an answer in an object


def _mend_answer(template: QaTemplate) -> Fix:
    def apply(line: JsonObject) -> bool:
        reference = line.get("reference_answer")
        if not isinstance(reference, dict) or template.fits(reference):
            return False
        made = template.from_fields(reference)
        if made:
            reference["answer"] = made["answer"]
        return bool(made)

    return Fix("the answer is written as a text that the grader reads", apply)


def _is_read(parsed_line: ParsedLine) -> bool:
    answer = _field(parsed_line, "answer")
    is_value = isinstance(answer, str | int | float) and not isinstance(answer, bool)
    return is_value and is_scored(str(answer))


_QA = Profile(
    name="qa",
    kind="grader",
    about="FinQA grader: yes, no and numbers",
    rules=(
        rules.MESSAGES,
        _object('{"answer": "25"}'),
        Rule(
            "answer",
            "`answer` of the reference is neither yes or no nor a number: every answer would "
            "score 0",
            'write the number without words; for texts take profile qa-text, and kind = "text"',
            lambda s: _has_object(s) and not _is_read(s),
        ),
        _marker(QA.marker),
    ),
    fixes=(_mend_answer(QA),),
)

_QA_TEXT = Profile(
    name="qa-text",
    kind="grader",
    about="grader qa of Sluice: any answer of one line",
    rules=(
        rules.MESSAGES,
        _object('{"answer": "Bern"}'),
        Rule(
            "answer",
            "`answer` of the reference is no text of one line, or has neither letter nor digit",
            "write the answer as text",
            lambda s: _has_object(s) and not QA_TEXT.fits(s.reference),
        ),
        _marker(QA.marker),
    ),
    fixes=(_mend_answer(QA_TEXT),),
)


# --- judge: what the judging model is shown

_JUDGE = Profile(
    name="judge",
    kind="grader",
    about="PandaLM grader, a model as judge",
    rules=(
        rules.MESSAGES,
        rules.USER_MISSING,
        Rule(
            "reference",
            f"`reference_answer` is neither text nor an object with one of {', '.join(_JUDGED)}",
            'make it a text or {"answer": …}',
            lambda s: not _is_text(s.reference) and not any(_field(s, key) for key in _JUDGED),
        ),
    ),
)


# --- tool and code: shapes of references alone


def _has_call(parsed_line: ParsedLine) -> bool:
    is_object = isinstance(_field(parsed_line, "tool_parameters"), dict)
    return is_object and _is_text(_field(parsed_line, "tool_called"))


_TOOL = Profile(
    name="tool",
    kind="grader",
    about="AWS's documents on tool use",
    rules=(
        rules.MESSAGES,
        _object('{"tool_called", "tool_parameters", "expected_behavior"}'),
        Rule(
            "tool-called",
            "`tool_called` of the reference is no text, or `tool_parameters` is no object",
            "name the tool, and give its parameters as an object",
            lambda s: _has_object(s) and not _has_call(s),
        ),
        Rule(
            "expected-behavior",
            "the reference has no `expected_behavior`, as AWS's example has",
            "say what is expected in words, if the grader reads it",
            lambda s: _has_object(s) and not _is_text(_field(s, "expected_behavior")),
            "warning",
        ),
        rules.TOOLS_SHAPE,
        Rule(
            "tool-offered",
            "the tool of the reference is not among the `tools` of the line: no model can call it",
            "describe the tool in `tools`",
            lambda s: _has_object(s) and _field(s, "tool_called") not in rules.tool_names(s),
        ),
    ),
)


def _is_case(case: object) -> bool:
    return isinstance(case, dict) and "input" in case and "expected_output" in case


def _has_cases(parsed_line: ParsedLine) -> bool:
    cases = _field(parsed_line, "test_cases")
    return isinstance(cases, list) and bool(cases) and all(map(_is_case, cases))


_CODE = Profile(
    name="code",
    kind="grader",
    about="AWS's documents on code",
    rules=(
        rules.MESSAGES,
        _object('{"code", "test_cases": [{"input", "expected_output"}], "all_tests_pass"}'),
        Rule(
            "test-cases",
            "`test_cases` of the reference is no list of objects with `input` and "
            "`expected_output`, or is empty",
            "give at least one test case",
            lambda s: _has_object(s) and not _has_cases(s),
        ),
        Rule(
            "code",
            "`code` of the reference is no text, or a blank one",
            "give a solution as text, if the grader reads it",
            lambda s: _has_object(s) and not _is_text(_field(s, "code")),
            "warning",
        ),
    ),
)

# --- bfcl and codeforces: what the published graders run


def _calls(parsed_line: ParsedLine) -> object:
    return _field(parsed_line, "ground_truth") or parsed_line.line.get("ground_truth")


def _are_calls(calls: object) -> bool:
    texts = [calls] if isinstance(calls, str) else calls
    if not isinstance(texts, list) or not texts:
        return False
    return all(isinstance(text, str) and is_call(text) for text in texts)


_BFCL = Profile(
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
        ),
        Rule(
            "ground-truth",
            "`ground_truth` is neither a call in Python's syntax nor a list of such: every answer "
            "would score 0",
            "write the calls as texts, such as \"f(x=1)\"; names that Python can't write don't fit",
            lambda s: not _are_calls(_calls(s)),
        ),
    ),
)


def _run_cases(parsed_line: ParsedLine) -> object:
    metadata = parsed_line.line.get("metadata")
    held = metadata.get("test_cases") if isinstance(metadata, dict) else None
    return held or parsed_line.line.get("test_cases") or _field(parsed_line, "test_cases")


def _can_run(cases: object) -> bool:
    if not isinstance(cases, list) or not cases:
        return False
    return all(
        isinstance(case, dict)
        and isinstance(case.get("input", ""), str)
        and isinstance(case.get("output"), str)
        for case in cases
    )


_CODEFORCES = Profile(
    name="codeforces",
    kind="grader",
    about="Codeforces grader: programs that read and print",
    rules=(
        rules.MESSAGES,
        Rule(
            "test-cases",
            "`test_cases` is no list of objects with texts as `input` and `output`, or is empty: "
            "no program would pass",
            "write what a program reads and prints as texts",
            lambda s: not _can_run(_run_cases(s)),
        ),
    ),
)

PROFILES = (_BFCL, _CODE, _CODEFORCES, _JUDGE, _MATH, _MATH_OPENWEIGHT, _QA, _QA_TEXT, _TOOL)
