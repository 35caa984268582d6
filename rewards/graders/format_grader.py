"""Grader `format`: which constraints on its form a response keeps.

`reference_answer` is `{"constraints": {...}}`, or that as JSON text, with one or more of

    "json": true                   the whole response is JSON
    "max_words": 50                at most so many words
    "must_include": ["refund"]     all of these texts, in any case
    "must_not_include": ["..."]    none of them
    "starts_with": "Dear"          after leading blanks
    "bullets": 3                   exactly so many lines that begin with `-`, `*` or `•`
    "regex": "^Total: [0-9]+$"     Python's, found anywhere; `^` and `$` are those of lines

The score is the share of them that is kept. A search that takes longer than `REGEX_SECONDS` of
processor time is stopped, and its constraint is not kept; this works in the main thread alone,
which is where Lambda calls a handler.

Metrics: `constraints`, the share (Reward); `kept_<name>` for each, 0 or 1 (Metric).
"""

import json
import re
import signal
from collections.abc import Callable
from typing import Any, NoReturn

MAX_PATTERN_CHARS = 500
MAX_SEARCHED_CHARS = 10_000
REGEX_SECONDS = 0.25

_BULLET = re.compile(r"^[ \t]{0,20}[-*•][ \t]", re.MULTILINE)


class TooSlowError(Exception):
    """A search was stopped."""


def lambda_handler(event: Any, context: object) -> list[dict[str, Any]]:  # noqa: ARG001
    """A score for each sample of the event."""
    return [score_sample(sample) for sample in samples_of(event)]


def grade(response: dict[str, Any], reference: Any, _: object) -> tuple[float, "list[Metric]"]:
    """Score and metrics of one response.

    Raises:
        MalformedError: there are no constraints, or one is unknown or of the wrong kind.
    """
    text = text_of(response)
    kept = {name: _CHECKS[name](text, limit) for name, limit in _constraints(reference).items()}
    share = sum(kept.values()) / len(kept)
    return share, [
        ("constraints", share, "Reward"),
        *((f"kept_{name}", is_kept, "Metric") for name, is_kept in kept.items()),
    ]


def _constraints(reference: Any) -> dict[str, Any]:
    fields = json.loads(reference) if isinstance(reference, str) else reference
    constraints = {
        k: v for k, v in fields["constraints"].items() if v is not None and v is not False
    }
    if not constraints:
        raise MalformedError("no constraints")
    for name, value in constraints.items():
        kind = _KINDS[name]
        if isinstance(value, bool) != (kind is bool) or not isinstance(value, kind):
            raise MalformedError("a constraint of the wrong kind")
    return constraints


def _is_json(text: str, _: bool) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (RecursionError, ValueError):
        return False
    return True


def _refuse(name: str) -> NoReturn:
    raise MalformedError(f"{name} is no JSON")


def _matches(text: str, pattern: str) -> bool:
    if len(pattern) > MAX_PATTERN_CHARS:
        raise MalformedError("a pattern that is too long")
    # A hostile pattern can run for ever, and `re` has no limit of its own: a signal ends it.
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, REGEX_SECONDS)
    try:
        return re.search(pattern, text[:MAX_SEARCHED_CHARS], re.MULTILINE) is not None
    except TooSlowError:
        return False
    except re.error:
        raise MalformedError("no regular expression") from None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _stop(*_: object) -> NoReturn:
    raise TooSlowError


_KINDS: dict[str, type] = {
    "json": bool,
    "max_words": int,
    "must_include": list,
    "must_not_include": list,
    "starts_with": str,
    "bullets": int,
    "regex": str,
}
_CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "json": _is_json,
    "max_words": lambda text, most: len(text.split()) <= most,
    "must_include": lambda text, texts: all(t.casefold() in text.casefold() for t in texts),
    "must_not_include": lambda text, texts: not any(t.casefold() in text.casefold() for t in texts),
    "starts_with": lambda text, start: text.lstrip().startswith(start),
    "bullets": lambda text, number: len(_BULLET.findall(text)) == number,
    "regex": _matches,
}


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
