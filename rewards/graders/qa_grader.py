"""Grader `qa`: whether a short answer is the right one.

`reference_answer` is `{"answer": "25"}`, or a text. Of the response counts what follows the last
`ANSWER:` on its line; without one, the last line that is not blank. Numbers may differ by 1 %,
be followed by words (`25 apples`), and tell a share as a percentage (`9.8%` or `0.098`); yes and no
are compared by the first word; other texts without case, punctuation and articles. Right scores
1.0, wrong 0.0.

Metrics: `correct` (Reward); `format`, 1 where the response has `ANSWER:` (Metric).

`strict_handler` scores as AWS's FinQA sample does: yes, no and numbers alone, the first `ANSWER:`
that can be read or else the last number of the response, rounded to two places; 0.95 where it is
within 0.1 (of answers under 2), 0.9 or 1 %. Answers 100 times too large or small count as shares.
"""

import json
import re
import unicodedata
from math import isclose
from typing import Any

RELATIVE_TOLERANCE = 0.01
ABSOLUTE_TOLERANCE = 1e-9  # next to zero, where 1 % is nothing

_MARKED = re.compile(r"(?i)\bANSWER\b[ \t*]{0,9}:([^\n]*)")
_NUMBER = re.compile(
    r"(-?(?:[0-9]{1,3}(?:,[0-9]{3}){1,15}|[0-9]{1,50})?(?:\.[0-9]{1,50})?(?<=[0-9]))(%?)(?=\s|$)"
)
_PUBLISHED_WORD = re.compile(r"(?i)ANSWER:\s*(\w+)")
_PUBLISHED_NUMBER = re.compile(r"(?i)ANSWER:\s*[\[*]*([\d,.-]+)")
_PUBLISHED_ANYWHERE = (re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?"), re.compile(r"-?\d+\.?\d*"))
_NEARLY_RIGHT = 0.95
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def lambda_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """A score for each sample of the event."""
    return [score_sample(sample) for sample in samples_of(event)]


def strict_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """The score of AWS's sample for each sample of the event."""
    return [score_sample(sample, grade_strictly) for sample in samples_of(event)]


def grade_strictly(
    response: dict[str, Any], reference: Any, _: object
) -> tuple[float, "list[Metric]"]:
    """As `grade`, by the rules of AWS's sample."""
    text, expected = text_of(response), str(reference["answer"]).lower().strip()
    if expected in ("yes", "no"):
        word = _PUBLISHED_WORD.search(text)
        score = float(word is not None and word[1].lower() == expected)
    else:
        score = _closeness(_published_number(text), _float(expected))
    return score, [("correct", score, "Reward")]


def _published_number(text: str) -> float | None:
    match = _PUBLISHED_NUMBER.search(text)
    number = _float(match[1]) if match else None
    for pattern in _PUBLISHED_ANYWHERE if number is None else ():
        numbers = pattern.findall(text)
        number = _float(numbers[-1]) if numbers else None
        if number is not None:
            break
    return number


def _float(text: str) -> float | None:
    try:
        return float(text.replace(",", "").replace("$", "").replace("%", ""))
    except ValueError:
        return None


def _closeness(answer: float | None, expected: float | None) -> float:
    if answer is None or expected is None:
        return 0.0
    # One may be a share and the other a percentage: whichever reading comes closer counts.
    distance = abs(answer - expected)
    if abs(100 * answer - expected) < distance:
        answer *= 100
    elif abs(answer - 100 * expected) < distance:
        expected *= 100
    answer, expected = round(answer, 2), round(expected, 2)
    if answer == expected:
        return 1.0
    distance = abs(answer - expected)
    near = 0.1 if abs(expected) < 2 else 0.9
    is_near = distance < near or distance / max(abs(expected), 1e-10) < RELATIVE_TOLERANCE
    return _NEARLY_RIGHT if is_near else 0.0


def grade(response: dict[str, Any], reference: Any, _: object) -> tuple[float, "list[Metric]"]:
    """Score and metrics of one response.

    Raises:
        MalformedError: the reference holds no answer.
    """
    text = text_of(response)
    answers = _MARKED.findall(text)
    lines = [line for line in text.splitlines() if line.strip()]
    answer = (answers or lines or [""])[-1]
    score = float(_is_right(_trim(answer), _expected(reference)))
    return score, [("correct", score, "Reward"), ("format", bool(answers), "Metric")]


def _expected(reference: Any) -> str:
    value = reference["answer"] if isinstance(reference, dict) else reference
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise MalformedError("the reference is neither a text nor a number")
    text = str(value)
    expected = _trim((_MARKED.findall(text) or [text])[-1])
    if not expected:
        raise MalformedError("the reference is blank")
    return expected


def _trim(text: str) -> str:
    return text.replace("\u2212", "-").strip(" \t\r\n*[]`\"'").rstrip(".")


def _is_right(answer: str, expected: str) -> bool:
    theirs = _NUMBER.fullmatch(expected.replace("$", ""))
    if theirs:
        ours = _NUMBER.match(answer.replace("$", ""))
        return ours is not None and _is_close(ours, theirs)
    target = _normalise(expected)
    words = _normalise(answer)
    if target in ("yes", "no"):
        return words.split(" ")[0] == target
    return bool(target) and words == target


def _is_close(ours: re.Match[str], theirs: re.Match[str]) -> bool:
    """Where one of the two alone is a percentage, the other may be a share."""
    answer, expected = _value(ours), _value(theirs)
    pairs = [(answer, expected)]
    if ours[2] and not theirs[2]:
        pairs.append((answer / 100, expected))
    elif theirs[2] and not ours[2]:
        pairs.append((answer, expected / 100))
    return any(
        isclose(a, e, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE) for a, e in pairs
    )


def _value(number: re.Match[str]) -> float:
    return float(number[1].replace(",", ""))


def _normalise(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(c if c.isalnum() or c.isspace() else " " for c in plain)
    return " ".join(_ARTICLES.sub(" ", words).split())


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
