"""Grader `math`: whether the number that a response ends in is the right one.

`reference_answer` is `{"final_answer": "72"}`, or a solution that ends in `#### 72`. Of the
response counts the last `#### N`; without one, the last `\\boxed{N}`; without that, the last
number. Numbers are compared by value: `1,234.50` is `1234.5`, and `0.5` is `1/2`. `$` and `%` are
taken as signs of the unit, so `50%` is `50`. Right scores 1.0, wrong 0.0.

Metrics: `correct` (Reward); `format`, 1 where the response has `####` (Metric).

`strict_handler` scores as AWS's GSM8K samples do: the last `#### N` in the last 300 characters,
compared as text.
"""

import json
import re
from fractions import Fraction
from typing import Any

# Bounded, so that a long run of digits takes no time; neither part of `1,5`, nor of `1.2.3`.
_NUMBER = (
    r"(?<![0-9])(?<![0-9][.,/])((?:-?\$?|\$-)(?:[0-9]{1,3}(?:,[0-9]{3}){1,15}|[0-9]{1,50})?(?:\.[0-9]{1,50})?"
    r"(?<=[0-9])(?:/[0-9]{1,50})?)(?![.,/]?[0-9])"
)
_MARKED = re.compile(r"####[ \t*]*" + _NUMBER)
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_ANY = re.compile(_NUMBER)
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_WORDS = re.compile(r"\\(?:text|mathrm|textbf)\{([^{}]*)\}")
_PUBLISHED = re.compile(r"#### (-?[0-9.,]+)")
_PUBLISHED_CHARS = 300
_SIGNS = {"\u2212": "-", "\\$": "$", "\\%": "%", "\\,": "", "\\!": "", "{,}": ","}


def lambda_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """A score for each sample of the event."""
    return [score_sample(sample) for sample in samples_of(event)]


def strict_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """The score of AWS's samples for each sample of the event."""
    return [score_sample(sample, grade_strictly) for sample in samples_of(event)]


def grade_strictly(
    response: dict[str, Any], reference: Any, _: object
) -> tuple[float, "list[Metric]"]:
    """As `grade`, by the rules of AWS's samples for Nova (an object) and open weight (a text)."""
    is_object = isinstance(reference, dict)
    expected = reference["final_answer"] if is_object else _last(reference)
    answer = _last(text_of(response)[-_PUBLISHED_CHARS:])
    score = float(bool(expected) and answer == expected)
    return score, [("correct", score, "Reward"), ("format", answer is not None, "Metric")]


def _last(text: str) -> str | None:
    numbers = _PUBLISHED.findall(text)
    return str(numbers[-1]).replace(",", "") if numbers else None


def grade(response: dict[str, Any], reference: Any, _: object) -> tuple[float, "list[Metric]"]:
    """Score and metrics of one response.

    Raises:
        MalformedError: the reference holds no number.
    """
    text, expected = _plain(text_of(response)), _expected(reference)
    after_marker = _MARKED.findall(text)
    # The last number in each box; a box without one does not hide an earlier box.
    boxes = [_ANY.findall(box)[-1:] for box in _BOXED.findall(text)]
    numbers = after_marker or [number for box in boxes for number in box] or _ANY.findall(text)
    answer = _value(numbers[-1]) if numbers else None
    score = float(answer is not None and answer == expected)
    return score, [("correct", score, "Reward"), ("format", bool(after_marker), "Metric")]


def _expected(reference: Any) -> Fraction:
    value = reference["final_answer"] if isinstance(reference, dict) else reference
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedError("the reference is neither a text nor a number")
    text = _plain(str(value)).strip().rstrip("%.")
    numbers = _MARKED.findall(text)
    whole = _ANY.fullmatch(text)
    number = _value(numbers[-1]) if numbers else _value(whole[1]) if whole else None
    if number is None:
        raise MalformedError("the reference has no number")
    return number


def _plain(text: str) -> str:
    """Without the signs of LaTeX that stand around numbers."""
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return _FRACTION.sub(r"\1/\2", _WORDS.sub(r"\1", text))


def _value(number: str) -> Fraction | None:
    above, _, below = number.replace(",", "").replace("$", "").partition("/")
    divisor = Fraction(below or 1)
    return Fraction(above) / divisor if divisor else None


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
