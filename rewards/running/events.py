"""Events: what a reward function is handed, in each of the shapes that are documented.

The user guide of Bedrock puts `reference_answer` below `metadata`; that of SageMaker, and most
published graders, read it beside `messages`. Open-weight models hand a text over as `{"text": …}`,
and some of their graders expect the samples below `trajectories`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bedrock_sluice.rewards.templates.base import OWN_KEYS

EventForm = Literal["metadata", "top_level", "wrapped_text", "trajectories"]
FORMS: tuple[EventForm, ...] = get_args(EventForm)

MAX_BATCH_SIZE = 128  # samples; what the recipes of SageMaker hand to one call

Event = list[dict[str, Any]] | dict[str, Any]  # JSON


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of a release, and a response to it: a text, or an assistant's chat message."""

    line: Mapping[str, Any]
    response: str | Mapping[str, Any]

    @property
    def id(self) -> str:
        """That of the line."""
        return str(self.line["id"])


def batches(samples: Iterable[Sample], batch_size: int = MAX_BATCH_SIZE) -> Iterator[list[Sample]]:
    """The samples in order, at most `batch_size` at a time, no id twice in a batch.

    Two responses to one line have its id: in one batch, nobody could tell their scores apart.
    """
    batch: dict[str, Sample] = {}
    for sample in samples:
        if len(batch) >= batch_size or sample.id in batch:
            yield list(batch.values())
            batch = {}
        batch[sample.id] = sample
    if batch:
        yield list(batch.values())


def as_event(batch: Sequence[Sample], form: EventForm) -> Event:
    """The event that holds exactly these samples, in their order."""
    contents = [_event_sample(sample, form) for sample in batch]
    return {"trajectories": contents} if form == "trajectories" else contents


def _event_sample(sample: Sample, form: EventForm) -> dict[str, Any]:
    line, response = sample.line, sample.response
    answer = {"role": "assistant", "content": response} if isinstance(response, str) else response
    reference = line["reference_answer"]
    if form in ("wrapped_text", "trajectories") and isinstance(reference, str):
        reference = {"text": reference}
    further = {key: value for key, value in line.items() if key not in OWN_KEYS}
    fields = {"reference_answer": reference, **further}
    return {
        "id": sample.id,
        "messages": [*line["messages"], dict(answer)],
        **({"tools": line["tools"]} if "tools" in line else {}),
        **({"metadata": fields} if form == "metadata" else fields),
    }
