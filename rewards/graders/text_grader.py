"""Grader `text`: whether a response is the expected text.

`reference_answer` is a text, or an object that holds it as `answer`, `expectedAnswer`,
`ground_truth`, `final_answer` or `text`. Case, punctuation and blanks do not count. The same text
scores 1.0, any other 0.0.

Metrics: `exact` (Reward); `token_f1`, how far the words are the same (Metric).
"""

import json
import unicodedata
from collections import Counter
from typing import Any

KEYS = ("answer", "expectedAnswer", "ground_truth", "final_answer", "text")


def lambda_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """A score for each sample of the event."""
    return [score_sample(sample) for sample in samples_of(event)]


def grade(response: dict[str, Any], reference: Any, _: object) -> tuple[float, "list[Metric]"]:
    """Score and metrics of one response.

    Raises:
        MalformedError: the reference holds no text.
    """
    words, target = _words(text_of(response)), _words(_expected(reference))
    if not target:
        raise MalformedError("the reference is blank")
    score = float(words == target)
    common = (Counter(words) & Counter(target)).total()
    token_f1 = 2 * common / (len(words) + len(target))
    return score, [("exact", score, "Reward"), ("token_f1", token_f1, "Metric")]


def _expected(reference: Any) -> str:
    if isinstance(reference, dict):
        reference = next((reference[key] for key in KEYS if key in reference), None)
    if isinstance(reference, bool) or not isinstance(reference, str | int | float):
        raise MalformedError("the reference is neither a text nor a number")
    return str(reference)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c if c.isalnum() or c.isspace() else " " for c in plain).split()


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
