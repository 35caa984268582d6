"""What to do about the failure of a training job, by what the service says of it."""

import re
from typing import NamedTuple


class _Failure(NamedTuple):
    """A kind of failure: how its message is recognised, and what to do."""

    pattern: str
    advice: str


_LINES = r"(sample|record|line|prompt|example|row)s?\b"
_FAILURES = (  # the first that fits counts
    _Failure(
        rf"(too few|fewer than|less than|at least|minimum)\b.*{_LINES}"
        rf"|{_LINES}.*\b(too few|fewer than|less than|minimum|are needed|required)",
        "a job needs 100 prompts that are within maxPromptLength, and takes 20,000: build a "
        "release of that size, or raise maxPromptLength in [train]",
    ),
    _Failure(
        rf"(too many|more than|maximum|exceed\w*)\b.*{_LINES}",
        "a job takes 20,000 lines: lower max_lines in [split] and build again",
    ),
    _Failure(
        r"(lambda|grader|function)\b.*time[sd]?[ -]?out|time[sd]?[ -]?out.*\b(lambda|grader)",
        "raise the timeout of the grader's Lambda: 3 seconds unless it is set, 15 minutes at most",
    ),
    _Failure(
        r"\bkms\b|encrypt",
        "the role of the job needs the key: `sluice iam RECIPE` prints its policy (model-key)",
    ),
    _Failure(
        r"access.?denied|not authorized|unauthorized|forbidden|assume.{0,20}role|permission",
        "`sluice doctor RECIPE` says what the role of the job may not do, and `sluice iam RECIPE` "
        "prints the policies that it needs",
    ),
    _Failure(
        r"\b(lambda|grader|reward function)\b",
        "try the grader on logged responses with `sluice grade RECIPE`, and read its log group in "
        "CloudWatch",
    ),
    _Failure(
        r"quota|limit ?exceeded|limitexceeded",
        "wait until other jobs have ended, or ask for more quota; then run `sluice train` again",
    ),
    _Failure(
        r"malformed|invalid_file|invalid (json|file|format|data)|not valid json|"
        r"(format|schema) (error|is invalid|validation)|\bmessages\b.*\b(must|invalid|required)",
        "check the lines: `sluice check RELEASE/train.jsonl`",
    ),
    _Failure(
        r"no such (bucket|key)|nosuch(bucket|key)|bucket\b.*\bnot (exist|found)",
        "see that data_uri and output_uri in [train] name buckets in the Region of the job",
    ),
    _Failure(
        r"internal (server )?(error|failure)|internalserver|capacity|throttl|try again|unavailable",
        "the service was at fault: run `sluice train` again, which starts another attempt",
    ),
)


def advise(message: str) -> str | None:
    """Return what to do about a failure; None if its message is not known."""
    text = " ".join(message.lower().split())
    return next((each.advice for each in _FAILURES if re.search(each.pattern, text)), None)
