"""Grader `tool`: whether a response calls the right tool with the right parameters.

`reference_answer` is `{"tool_called": "get_weather", "tool_parameters": {"city": "Bern"}}`, or that
as JSON text; a `tool_called` of null or "" asks for an answer without a call. Calls are read from
`tool_calls` of the message, from blocks of its content (`toolUse`, `tool_use`), or else from JSON
in its text. One call, the right one, scores 1.0; anything else 0.0. Neither the order of keys
counts, nor whether a whole number is written as `3` or `3.0`.

Metrics: `correct` (Reward); `name`, 0 or 1, `parameters`, the share of the expected ones that is
right, and `calls`, their number (Metric).

`strict_handler` scores as AWS's BFCL sample does: the text of the response is calls in Python's
syntax, one on a line, and `ground_truth` of the reference, or of the sample, lists the right ones.
Of each call its name counts for 33 %, the names of its parameters for 33 %, their values for 34 %.
"""

import ast
import json
from collections.abc import Iterator
from typing import Any

MAX_JSON_STARTS = 50  # of a text, where JSON is looked for

NAMES = ("tool_called", "name", "tool", "tool_name", "function")
PARAMETERS = ("tool_parameters", "parameters", "arguments", "input")

Call = tuple[str, dict[str, Any]]  # the name of a tool, and its parameters


def lambda_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """A score for each sample of the event."""
    return [score_sample(sample) for sample in samples_of(event)]


def strict_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """The score of AWS's sample for each sample of the event."""
    return [score_sample(sample, grade_strictly) for sample in samples_of(event)]


def grade_strictly(
    response: dict[str, Any], reference: Any, sample: dict[str, Any]
) -> tuple[float, "list[Metric]"]:
    """As `grade`, by the rules of AWS's sample."""
    below = sample.get("metadata") or {}
    below_reference = reference.get("ground_truth") if isinstance(reference, dict) else None
    references = below.get("ground_truth") or below_reference or sample.get("ground_truth") or []
    expected = [
        _python_call(str(each))
        for each in (references if isinstance(references, list) else [references])
    ]
    calls = [_python_call(line) for line in _call_lines(text_of(response))] if expected else []
    points = sum(map(_points, calls, expected))
    score = round(points / max(len(expected), len(calls), 1), 4)
    return score, [("correct", score, "Reward"), ("calls", len(calls), "Metric")]


def _call_lines(text: str) -> list[str]:
    """The calls of a text, or of a list in brackets: line ends between parentheses part none."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    depth, calls = 0, [""]
    for line in text.split("\n"):
        calls[-1] += line
        depth += line.count("(") - line.count(")")
        if depth == 0:
            calls.append("")
        else:
            calls[-1] += "\n"
    return [call.strip().rstrip(",").strip() for call in calls if call.strip()]


def _python_call(text: str) -> Call | None:
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        return None
    name = _dotted_name(body.func) if isinstance(body, ast.Call) else None
    if not isinstance(body, ast.Call) or name is None:
        return None
    arguments = {f"_arg{n}": each for n, each in enumerate(body.args)}
    arguments |= {each.arg: each.value for each in body.keywords if each.arg is not None}
    return name, {key: _literal(node) for key, node in arguments.items()}


def _dotted_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        owner = _dotted_name(node.value)
        return f"{owner}.{node.attr}" if owner else node.attr
    return node.id if isinstance(node, ast.Name) else None


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError):  # a name or a call: the same expression is the same value
        return ast.dump(node)


def _points(call: Call | None, expected: Call | None) -> float:
    if call is None or expected is None:
        return 0.0
    (name, parameters), (expected_name, expected_parameters) = call, expected
    common = parameters.keys() & expected_parameters.keys()
    if expected_parameters:
        same = sum(_is_same(parameters[key], expected_parameters[key]) for key in common)
        names, values = len(common) / len(expected_parameters), same / len(expected_parameters)
    else:
        names = values = float(not parameters)
    return 0.33 * (name == expected_name) + 0.33 * names + 0.34 * values


def _is_same(value: Any, target: Any) -> bool:
    """Whether two values are the same, a text being the number, or `true`, that it tells."""
    if value == target:
        return True
    if isinstance(value, list) and isinstance(target, list):
        return len(value) == len(target) and all(map(_is_same, value, target))
    if isinstance(value, dict) and isinstance(target, dict):
        same_keys = value.keys() == target.keys()
        return same_keys and all(_is_same(value[key], target[key]) for key in target)
    text, number = (value, target) if isinstance(value, str) else (target, value)
    if not (isinstance(text, str) and isinstance(number, int | float)):
        return False
    try:
        return float(text) == float(number)
    except ValueError:
        return isinstance(target, bool) and (text.lower() == "true") == target


def grade(response: dict[str, Any], reference: Any, _: object) -> tuple[float, "list[Metric]"]:
    """Score and metrics of one response.

    Raises:
        MalformedError: the reference names no tool, or its parameters are not an object.
    """
    expected, calls = _expected(reference), list(_calls(response))
    name, parameters = calls[0] if calls else ("", {})
    is_named = name == expected[0]
    share = _share(parameters, expected[1]) if is_named else 0.0
    is_right = is_named and _plain(parameters) == _plain(expected[1])
    score = float(is_right and len(calls) == (1 if expected[0] else 0))
    return score, [
        ("correct", score, "Reward"),
        ("name", is_named, "Metric"),
        ("parameters", share, "Metric"),
        ("calls", len(calls), "Metric"),
    ]


def _expected(reference: Any) -> Call:
    fields = json.loads(reference) if isinstance(reference, str) else reference
    name, parameters = fields["tool_called"] or "", fields.get("tool_parameters") or {}
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise MalformedError("tool_called is not a text, or tool_parameters not an object")
    return name, parameters


def _calls(message: dict[str, Any]) -> Iterator[Call]:
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    uses = [block.get("toolUse") or block for block in blocks if isinstance(block, dict)]
    objects = [call["function"] for call in message.get("tool_calls") or ()]
    objects += [use for use in uses if "name" in use]
    yield from filter(None, map(_call, objects or _objects(text_of(message))))


def _call(candidate: Any) -> Call | None:
    """The call that an object tells of; None if it tells of none."""
    if not isinstance(candidate, dict):
        return None
    if isinstance(candidate.get("function"), dict):
        candidate = candidate["function"]
    name = next((candidate[key] for key in NAMES if isinstance(candidate.get(key), str)), None)
    parameters: Any = next((candidate[key] for key in PARAMETERS if key in candidate), {})
    if isinstance(parameters, str):
        parameters = _parse_json(parameters)
    return (name, parameters if isinstance(parameters, dict) else {}) if name else None


def _parse_json(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return None


def _objects(text: str) -> Iterator[Any]:
    """The JSON objects that stand in a text, outermost first, one after the other."""
    decoder, at = json.JSONDecoder(), text.find("{")
    for _ in range(MAX_JSON_STARTS):
        if at < 0:
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


def _share(parameters: dict[str, Any], expected: dict[str, Any]) -> float:
    right = sum(k in parameters and _plain(parameters[k]) == _plain(v) for k, v in expected.items())
    return right / len(expected) if expected else float(not parameters)


def _plain(value: Any) -> str:
    """JSON by which equal values are equal texts: 3 and 3.0, but not 1 and true."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# --- The same text in every grader, because each is deployed alone: samples in, scores out.

ASSISTANTS = ("assistant", "nova_assistant")
MAX_RESPONSE_CHARS = 100_000  # of a longer response, its end is graded

Metric = tuple[str, float, str]  # name, value, "Reward" or "Metric"


class MalformedError(ValueError):
    """A sample that can't be graded, whatever was answered."""


def sagemaker_handler(event: Any, context: object) -> dict[str, Any]:
    """The same scores in the envelope that SageMaker reads for open-weight models."""
    scores = json.dumps(lambda_handler(event, context))
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": scores}


def samples_of(event: Any) -> list[Any]:
    """The samples of an event: an array of them, `trajectories`, a `batch`, or a single one."""
    if isinstance(event, dict):
        event = event.get("trajectories", event.get("batch", [event]))
    return event if isinstance(event, list) else []


def score_sample(sample: Any, rule: Any = grade) -> dict[str, Any]:
    """What is returned for a sample; a malformed one scores 0 and does not stop the others."""
    try:
        score, metrics = rule(response_of(sample), reference_of(sample), sample)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        score, metrics = 0.0, [("malformed", 1.0, "Metric")]
    return {
        "id": sample.get("id", "") if isinstance(sample, dict) else "",
        "aggregate_reward_score": float(score),
        "metrics_list": [{"name": n, "value": float(v), "type": kind} for n, v, kind in metrics],
    }


def response_of(sample: dict[str, Any]) -> dict[str, Any]:
    """The message to grade: the last one, which is the assistant's."""
    message: dict[str, Any] = sample["messages"][-1]
    if message["role"] not in ASSISTANTS:
        raise MalformedError("the last message is not the assistant's")
    return message


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content is a text or a list of blocks."""
    content = message.get("content") or ""
    if not isinstance(content, str | list):
        raise MalformedError("content is neither a text nor a list")
    blocks = [content] if isinstance(content, str) else content
    texts = [block if isinstance(block, str) else block.get("text", "") for block in blocks]
    return "\n".join(text for text in texts if text != "")[-MAX_RESPONSE_CHARS:]


def reference_of(sample: dict[str, Any]) -> Any:
    """The reference answer: below `metadata`, beside it, or in a row of verl; maybe wrapped."""
    below = sample.get("metadata")
    is_below = isinstance(below, dict) and "reference_answer" in below
    holder: Any = below if is_below else sample
    if "reference_answer" not in holder and isinstance(holder.get("reward_model"), dict):
        return _truth_of(holder["reward_model"].get("ground_truth"))
    reference = holder.get("reference_answer")
    if isinstance(reference, dict) and reference.keys() == {"text"}:
        return reference["text"]
    return reference


def _truth_of(text: Any) -> Any:
    """The reference of a row for verl, where an object is JSON text."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return text
    return value if isinstance(value, dict) else text
