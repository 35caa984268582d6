"""The logged responses that a grader is tried on: a bounded, stable choice of whole prompts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import polars as pl

from bedrock_sluice.transforms.split import in_stable_order

MAX_SAMPLES = 2_000
MAX_RESPONSES_PER_PROMPT = 8
PURPOSE = "grade"

LINES = pl.Schema(
    {
        "id": pl.String,
        "request_id": pl.String,
        "prompt_digest": pl.String,
        "reference_source": pl.String,
        "json": pl.String,
    }
)
"""The lines of a release; each has a prompt of its own."""

_OWN_SOURCES = ("logged", "extracted", "agreement", "feedback")  # that may be the response itself


class LoggedResponse(NamedTuple):
    """A response that production gave, an assistant's chat message as JSON text."""

    prompt_digest: str
    request_id: str
    response: str
    model_id: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLimits:
    """How many responses are chosen, and by which salt."""

    max_samples: int = MAX_SAMPLES
    max_responses_per_prompt: int = MAX_RESPONSES_PER_PROMPT
    salt: str = ""


class GraderInput(NamedTuple):
    """A response to grade, and the line (JSON text) that it is graded with."""

    line_id: str
    line: str
    logged_response: LoggedResponse


def sample_responses(
    lines: pl.DataFrame, responses: Iterable[LoggedResponse], options: ResponseLimits
) -> tuple[list[GraderInput], int]:
    """At most `max_samples` responses: those of whole prompts, in a stable order of the prompts.

    The same text again says nothing new, and is graded once. Where the reference answer of a line
    is a logged response, that one is left out, and counted: it would be compared with itself.

    First responses come first, then second ones, so that batches are full: none has a line twice.
    """
    prompts = in_stable_order(lines.select(LINES.names()), options.salt, PURPOSE)
    pool = _Pool(prompts, options)
    for each in responses:
        pool.add(each)
    pool.trim()
    ids, texts = prompts["id"], prompts["json"]
    ranking = sorted(
        (rank, place, digest)
        for place, responses in pool.responses.items()
        for rank, digest in enumerate(sorted(responses))
    )[: options.max_samples]
    inputs = [GraderInput(ids[p], texts[p], pool.responses[p][digest]) for _, p, digest in ranking]
    return inputs, pool.circular


class _Pool:
    """What may yet be chosen: of each prompt, by its place, a few responses by their digests.

    Digests are keyed, and the lowest are kept: so the choice depends on no order of the log.
    """

    def __init__(self, prompts: pl.DataFrame, options: ResponseLimits) -> None:
        self.responses: dict[int, dict[bytes, LoggedResponse]] = {}
        self._options, self._key = options, options.salt.encode()
        self._places = {digest: place for place, digest in enumerate(prompts["prompt_digest"])}
        is_own = prompts["reference_source"].is_in(_OWN_SOURCES)
        self._own = set(prompts.filter(is_own).select("prompt_digest", "request_id").iter_rows())
        self._own_places = set[int]()
        self._last = prompts.height  # places behind it are full of what can't be chosen any more
        self._size = 0

    @property
    def circular(self) -> int:
        """How many responses are the reference answer of their own line."""
        return sum(place <= self._last for place in self._own_places)

    def add(self, response: LoggedResponse) -> None:
        """Take a response, if it may be chosen."""
        place = self._places.get(response.prompt_digest)
        if place is None or place > self._last:
            return
        if (response.prompt_digest, response.request_id) in self._own:
            self._own_places.add(place)
            return
        here = self.responses.setdefault(place, {})
        digest = blake2b(response.response.encode(), key=self._key, digest_size=16).digest()
        self._size -= len(here)
        here[digest] = min(here.get(digest, response), response, key=lambda each: each.request_id)
        if len(here) > self._options.max_responses_per_prompt:
            del here[max(here)]
        self._size += len(here)
        if self._size >= 2 * self._options.max_samples:
            self.trim()

    def trim(self) -> None:
        """Forget prompts behind those that have enough responses already: these only gain."""
        self._size = 0
        for place in sorted(self.responses):
            if self._size >= self._options.max_samples:
                del self.responses[place]
                continue
            self._size += len(self.responses[place])
            if self._size >= self._options.max_samples:
                self._last = place
