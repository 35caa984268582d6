"""Sources of answers: labels, feedback, metadata, agreement, extraction and the logs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.answers.choice import ANSWERS, choose_answers
from bedrock_sluice.transforms.answers.extract import Extraction
from bedrock_sluice.transforms.answers.feedback import FeedbackResult, Scale, feedback_answers
from bedrock_sluice.transforms.answers.json_path import parse_path
from bedrock_sluice.transforms.answers.sources import (
    AnswerContext,
    SourceResult,
    agreement_answers,
    extracted_answers,
    label_answers,
    labelled_requests,
    logged_answers,
    metadata_answers,
)
from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.settings import ConflictRule

Json = dict[str, Any]

DAY = datetime(2026, 10, 1, tzinfo=UTC)


class Plain:
    """A template: the answer after `=`, and before it how it was found, which no grader reads."""

    def from_fields(self, fields: Mapping[str, Any]) -> Json | None:
        answer = fields.get("answer")
        return {"a": str(answer), "how": str(fields.get("how"))} if answer is not None else None

    def from_text(self, text: str) -> Json | None:
        how, equals, answer = text.partition("=")
        return self.from_fields({"answer": answer, "how": how}) if equals else None

    def from_metadata(self, metadata: Mapping[str, str], key: str | None) -> Json | None:
        return self.from_fields({"answer": metadata.get(key or "any")})

    def from_response(self, message: Mapping[str, Any]) -> Json | None:
        return self.from_text(message["content"])

    def comparison_key(self, reference: Json | str) -> object:
        return reference["a"] if isinstance(reference, dict) else reference

    def passthrough(self, fields: Mapping[str, Any]) -> Json:
        return {"level": fields["level"]} if "level" in fields else {}


def logs_of(
    *exchanges: tuple[str, str, str],
    tags: Sequence[Json | None] | None = None,
    order: Sequence[int] | None = None,
) -> AnswerContext:
    """Return exchanges (request id, prompt, response) a minute apart, the first one logged last."""
    ids, digests, texts = zip(*exchanges, strict=True) if exchanges else ((), (), ())
    frame = pl.DataFrame(
        {
            "request_id": ids,
            "prompt_digest": digests,
            "exchange": range(len(ids)),
            "timestamp": [DAY - timedelta(minutes=n) for n in range(len(ids))],
            "request_metadata": tags or [None] * len(ids),
        },
        schema={
            "request_id": pl.String,
            "prompt_digest": pl.String,
            "exchange": pl.UInt32,
            "timestamp": pl.Datetime("us", "UTC"),
            "request_metadata": pl.Map(pl.String, pl.String),
        },
    )
    prompts = frame.unique("prompt_digest", keep="first", maintain_order=True)
    messages = [msgspec.json.encode({"role": "assistant", "content": t}).decode() for t in texts]

    def map_responses(
        rows: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        numbers = rows["exchange"].sort()
        assert numbers.is_unique().all()
        for piece in (numbers[at : at + 2] for at in range(0, len(numbers), 2)):
            yield work(pl.DataFrame({"exchange": piece, "response": [messages[n] for n in piece]}))

    rows = frame[list(order)] if order else frame
    kept = prompts[list(reversed(range(prompts.height)))] if order else prompts
    return AnswerContext(kept, rows, rows, map_responses, Plain())


def summary(answers: pl.DataFrame) -> dict[str, str | None]:
    """What is expected of each request: the answer, or the problem."""
    assert answers.schema == ANSWERS
    assert answers["request_id"].is_unique().all()
    both = answers.select(pl.all_horizontal(pl.col("reference_answer", "problem").is_not_null()))
    assert not both.to_series().any()
    return {
        name: msgspec.json.decode(answer)["a"] if answer else problem
        for name, answer, problem, _ in answers.iter_rows()
    }


def label(name: str, answer: object = None, day: int | None = None) -> Json:
    return {
        "request_id": name,
        "answer": answer,
        "labelled_at": None if day is None else DAY + timedelta(days=day),
    }


LOGS = (("a", "p", "x=1"), ("b", "p", "y=1"), ("c", "p", "2"), ("d", "q", "=3"))


@pytest.mark.parametrize(
    ("labels", "rule", "expected"),
    [
        ([label("a", 7)], "drop", {"a": "7"}),
        ([label("c", 7), label("d", 8)], "drop", {"a": "7", "d": "8"}),
        ([label("b", 7), label("c", 7), label("c", 7)], "drop", {"a": "7"}),
        ([label("b")], "drop", {"a": "answer_unfit"}),
        ([label("b"), label("a", 7)], "drop", {"a": "answer_conflict"}),
        ([label("b", 6), label("a", 7)], "drop", {"a": "answer_conflict"}),
        ([label("b", 6), label("a", 7, day=0)], "newest", {"a": "7"}),
        ([label("b", 6, day=1), label("a", 7, day=0)], "newest", {"a": "6"}),
        ([label("b", 6, day=1), label("a", 7, day=1)], "newest", {"a": "answer_conflict"}),
        ([label("b", 6), label("a", 7)], "newest", {"a": "answer_conflict"}),
        ([label("b", 6), label("c", 6)], "newest", {"a": "6"}),
        ([label("b", day=1), label("a", 7, day=0)], "newest", {"a": "answer_unfit"}),
        ([label("b", 6), label("a", 7), label("a", 7)], "majority", {"a": "7"}),
        ([label("b", 6), label("a", 7)], "majority", {"a": "answer_conflict"}),
        ([label("a", n) for n in (6, 7, 7, 8)], "majority", {"a": "answer_conflict"}),
        ([label("a", n) for n in (None, None, 7)], "majority", {"a": "answer_unfit"}),
        ([], "drop", {}),
    ],
)
def test_a_label_of_any_duplicate_counts_and_the_rule_settles_conflicts(
    labels: list[Json], rule: ConflictRule, expected: Json
) -> None:
    for rows in (labels, labels[::-1]):
        assert summary(label_answers(logs_of(*LOGS), rows, rule=rule).answers) == expected


def counts(result: SourceResult) -> tuple[int, ...]:
    """How many rows there are, and of these unmatched, late, undated, unreadable and usable."""
    rows, unmatched_keys, *others, usable = result[1:]
    return (rows, unmatched_keys.len(), *others, usable["row"].n_unique())


def test_labels_are_counted_and_late_ones_do_not_count() -> None:
    labels = [label("a", 1, day=-1), label("b", 2, day=0), label("c", 3), label("z", 4, day=-1)]
    result = label_answers(logs_of(*LOGS), [*labels, label("d", day=-1)], cutoff=DAY)
    assert summary(result.answers) == {"a": "1", "d": "answer_unfit"}
    assert (counts(result), result.unmatched_keys.to_list()) == ((5, 1, 1, 1, 1, 1), ["z"])


def test_a_label_may_be_for_all_prompts_with_a_value_in_their_metadata() -> None:
    tags = [{"ticket": "7"}, None, {"ticket": "8"}, {"ticket": "7", "team": "x"}]
    logs = logs_of(*LOGS, tags=tags)
    labels = [{"ticket": "7", "answer": 1}, {"ticket": "9", "answer": 2}]
    result = label_answers(logs, labels, key="ticket")
    assert (summary(result.answers), counts(result)) == (
        {"a": "1", "d": "1"},
        (2, 1, 0, 0, 0, 1),
    )
    assert labelled_requests(logs.members, labels, "ticket").to_list() == ["a", "d"]
    both = [*labels, {"ticket": "8", "answer": 2}]
    assert summary(label_answers(logs, both, key="ticket").answers)["a"] == "answer_conflict"


def test_requests_with_a_label_are_listed() -> None:
    expected = labelled_requests(logs_of(*LOGS).members, [label("d"), label("b"), label("z")])
    assert expected.to_list() == ["b", "d"]
    assert labelled_requests(logs_of().members, []).to_list() == []


def test_of_labels_with_the_same_essence_the_newest_gives_the_text() -> None:
    labels = [label("a", 1, day) | {"how": f"on day {day}", "level": day} for day in (1, 3, 2)]
    expected = label_answers(logs_of(*LOGS), labels).answers
    assert expected.rows() == [("a", '{"a":"1","how":"on day 3"}', None, '{"level":3}')]


def rate(logs: AnswerContext, *rows: Json, **options: Any) -> FeedbackResult:
    return feedback_answers(logs, [(f"feedback {n}", row) for n, row in enumerate(rows)], **options)


def right(name: str, day: int | None = None, **more: Any) -> Json:
    return wrong(name, day) | {"correct": True, **more}


def wrong(name: str, day: int | None = None, **more: Any) -> Json:
    return {**label(name, day=day), "correct": False, **more}


@pytest.mark.parametrize(
    ("rows", "rule", "expected"),
    [
        ([right("a")], "drop", {"a": "1"}),
        ([right("b")], "drop", {"a": "1"}),
        ([right("a"), right("b")], "drop", {"a": "1"}),
        ([wrong("a")], "drop", {"a": "answer_rejected"}),
        ([wrong("c")], "drop", {"a": "answer_rejected"}),
        ([right("c")], "drop", {"a": "answer_unfit"}),
        ([right("c"), right("a")], "drop", {"a": "1"}),
        ([wrong("c"), right("a")], "drop", {"a": "1"}),
        ([right("a"), wrong("b")], "drop", {"a": "answer_conflict"}),
        ([right("a", 1), wrong("b", 2)], "newest", {"a": "answer_rejected"}),
        ([right("a", 2), wrong("b", 1)], "newest", {"a": "1"}),
        ([right("a"), right("a"), wrong("b")], "majority", {"a": "1"}),
        ([right("a"), wrong("b")], "majority", {"a": "answer_conflict"}),
        ([wrong("a", corrected_answer="9")], "drop", {"a": "9"}),
        ([wrong("a", corrected_answer="so=9")], "drop", {"a": "9"}),
        ([wrong("a", corrected_answer={"answer": 9})], "drop", {"a": "9"}),
        ([wrong("a", corrected_answer=[9, 8]), right("d")], "drop", {"a": "[9, 8]", "d": "3"}),
        ([wrong("a", corrected_answer={})], "drop", {"a": "answer_unfit"}),
        ([label("a") | {"corrected_answer": 9}], "drop", {"a": "9"}),
        ([label("a") | {"corrected_answer": 9}, right("b")], "drop", {"a": "answer_conflict"}),
        ([right("a", corrected_answer=9)], "drop", {"a": "9"}),
        ([right("a"), wrong("c", corrected_answer=9)], "drop", {"a": "answer_conflict"}),
        ([right("a", 1), wrong("c", 2, corrected_answer=9)], "newest", {"a": "9"}),
        ([label("a")], "drop", {}),
        ([right("z")], "drop", {}),
        ([], "drop", {}),
    ],
)
def test_judgements_make_or_forbid_answers(
    rows: list[Json], rule: ConflictRule, expected: Json
) -> None:
    for order in (rows, rows[::-1]):
        assert summary(rate(logs_of(*LOGS), *order, rule=rule).source.answers) == expected


def test_praise_does_not_bring_back_a_response_that_curation_dropped() -> None:
    logs = logs_of(*LOGS)
    logs = replace(
        logs, candidate_responses=logs.candidate_responses.filter(pl.col("request_id") != "b")
    )
    assert summary(rate(logs, right("b")).source.answers) == {"a": "answer_unfit"}
    assert summary(rate(logs, right("a"), wrong("b")).source.answers) == {"a": "answer_conflict"}


def test_late_feedback_does_not_count() -> None:
    expected = (right("a", -1), wrong("b", 0), wrong("c"), right("z"), label("d"))
    feedback = rate(
        logs_of(*LOGS), *expected, {**label("d", day=-1), "corrected_answer": {}}, cutoff=DAY
    )
    assert summary(feedback.source.answers) == {"a": "1", "d": "answer_unfit"}
    assert counts(feedback.source) == (6, 1, 1, 1, 2, 1)


def test_scores_are_judged_on_the_scale_and_every_row_must_be_understood() -> None:
    logs, scale = logs_of(*LOGS), Scale(4, 2)
    rows = [label(name) | {"score": score} for name, score in (("a", 3), ("b", 4), ("d", 1))]
    answers = rate(logs, *rows, scale=scale).source.answers
    assert summary(answers) == {"a": "1", "d": "answer_rejected"}
    with pytest.raises(ConfigError, match="feedback 1: correct is not a flag"):
        rate(logs, right("a"), label("z") | {"correct": "perhaps"})


def test_a_metadata_value_is_an_answer() -> None:
    logs = logs_of(*LOGS, tags=[{"truth": "5"}, {"truth": "6"}, None, {"other": "7"}])
    assert summary(metadata_answers(logs, "truth")) == {"a": "5"}
    tags = [{"any": "5"}, None, None, {"other": "7"}]
    assert summary(metadata_answers(logs_of(*LOGS, tags=tags), None)) == {"a": "5"}


def test_a_logged_answer_that_was_judged_wrong_is_not_taken() -> None:
    logs = logs_of(*LOGS, ("e", "r", "none"))
    assert summary(logged_answers(logs)) == {"a": "1", "d": "3", "e": "answer_unfit"}
    feedback = rate(logs, wrong("c"), right("d")).wrong
    problems = summary(logged_answers(logs, feedback))
    assert problems == {"a": "answer_rejected", "d": "3", "e": "answer_unfit"}


@pytest.mark.parametrize(
    ("extraction", "expected"),
    [
        (Extraction(r"total (\d+)"), {"a": "12", "b": "answer_rejected"}),
        (Extraction(path=parse_path("sum[0]")), {"c": "7"}),
        (Extraction(path=parse_path("sum")), {"c": "[7, 8]"}),
        (Extraction(path=parse_path("all")), {"c": "answer_unfit"}),
        (Extraction(r"nowhere (.)"), {}),
    ],
)
def test_an_answer_is_taken_out_of_the_response(extraction: Extraction, expected: Json) -> None:
    texts = ["a total 12 or so", "total 13", '{"sum":[7,8],"all":{}}']
    logs = logs_of(*((name, name, text) for name, text in zip("abc", texts, strict=True)))
    feedback = rate(logs, wrong("b")).wrong
    assert summary(extracted_answers(logs, extraction, feedback)) == expected


def votes(*texts: str) -> AnswerContext:
    """One prompt with these responses."""
    return logs_of(*((f"r{n}", "p", text) for n, text in enumerate(texts)))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["=1"], {}),
        (["=1", "=1"], {"r0": "1"}),
        (["x=1", "y=1"], {"r0": "1"}),
        (["=1", "=2"], {"r0": "answer_disagreement"}),
        (["=1", "none"], {"r0": "answer_disagreement"}),
        (["none", "none"], {"r0": "answer_unfit"}),
        (["=2", "=1", "=1", "none", "=1"], {"r0": "1"}),
        (["=2", "=1", "=1", "=3", "=2"], {"r0": "answer_disagreement"}),
    ],
)
def test_most_responses_must_agree(texts: list[str], expected: Json) -> None:
    assert summary(agreement_answers(votes(*texts))) == expected


def test_agreement_asks_for_a_share_and_a_number_of_responses() -> None:
    logs = votes("=1", "=1", "=1", "=2")
    assert summary(agreement_answers(logs, minimum_share=0.75)) == {"r0": "1"}
    assert summary(agreement_answers(logs, minimum_share=0.76)) == {"r0": "answer_disagreement"}
    assert summary(agreement_answers(logs, minimum_responses=5)) == {}
    answers = agreement_answers(votes("=1", "=2", "=1", "=2"), minimum_share=0.1)
    assert summary(answers) == {"r0": "answer_disagreement"}


@pytest.mark.parametrize("texts", [("=2", "new=1", "old=1"), ("new=1", "=2", "x=1")])
def test_what_is_agreed_on_is_given_in_the_newest_words(texts: tuple[str, ...]) -> None:
    answers = agreement_answers(votes(*texts))
    assert answers["reference_answer"].to_list() == ['{"a":"1","how":"new"}']


def test_what_is_agreed_on_is_given_in_the_words_of_the_prompt_itself() -> None:
    logs = votes("new=1", "=2", "own=1")
    answers = agreement_answers(replace(logs, prompts=logs.members[2:]))
    assert answers.rows() == [("r2", '{"a":"1","how":"own"}', None, None)]


def test_agreement_on_what_people_judged_wrong_is_none() -> None:
    logs = votes("=1", "=1", "=1", "=2")
    assert summary(agreement_answers(logs, rate(logs, wrong("r1")).wrong)) == {
        "r0": "answer_rejected"
    }
    assert summary(agreement_answers(logs, rate(logs, wrong("r3")).wrong)) == {"r0": "1"}


SOURCES: dict[str, Callable[[AnswerContext, Json], pl.DataFrame]] = {
    "labels": lambda m, t: label_answers(m, t["labels"], rule=t["rule"]).answers,
    "feedback": lambda m, t: rate(m, *t["feedback"], rule=t["rule"]).source.answers,
    "agreement": lambda m, t: agreement_answers(m, t["wrong"](m)),
    "logged": lambda m, t: logged_answers(m, t["wrong"](m)),
}
_TIMES = st.sampled_from([None, 0, 1])
_NAMES = st.integers(0, 9).map(lambda n: f"r{n}")
_LABELS = st.builds(label, _NAMES, st.sampled_from([None, 1, 2]), _TIMES)
_JUDGEMENTS = st.builds(right, _NAMES, _TIMES) | st.builds(wrong, _NAMES, _TIMES)


@given(
    prompts=st.lists(st.sampled_from("pqr"), max_size=8),
    texts=st.lists(st.sampled_from(["=1", "=2", "x=1", "none"]), min_size=8, max_size=8),
    labels=st.lists(_LABELS, max_size=6),
    feedback=st.lists(_JUDGEMENTS, max_size=6),
    rule=st.sampled_from(["drop", "newest", "majority"]),
    data=st.data(),
)
def test_every_prompt_has_one_outcome_whatever_the_order(
    prompts: list[str],
    texts: list[str],
    labels: list[Json],
    feedback: list[Json],
    rule: ConflictRule,
    data: st.DataObject,
) -> None:
    logs = [(f"r{n}", prompt, texts[n]) for n, prompt in enumerate(prompts)]

    def outcomes(logs: AnswerContext, expected: Json) -> dict[str, tuple[str, ...]]:
        expected["wrong"] = lambda m: rate(m, *expected["feedback"], rule=rule).wrong
        sources = [(name, source(logs, expected)) for name, source in SOURCES.items()]
        result = choose_answers(logs.prompts, sources)
        assert result.kept.height + result.rejected.height == logs.prompts.height
        kept = result.kept.select("request_id", "reference_source", "reference_answer")
        rejected_rows = result.rejected.select("request_id", pl.lit(""), "reason").iter_rows()
        names = {name: rest for name, *rest in [*kept.iter_rows(), *rejected_rows]}
        assert set(names) == set(logs.prompts["request_id"])
        first = {s: set(a.drop_nulls("reference_answer")["request_id"]) for s, a in sources}
        order = list(SOURCES)
        for name, source, _ in kept.iter_rows():
            assert not any(name in first[s] for s in order[: order.index(source)])
        return {name: tuple(rest) for name, rest in names.items()}

    expected = {"labels": labels, "feedback": feedback, "rule": rule}
    shuffle = expected | {
        k: data.draw(st.permutations(expected[k])) for k in ("labels", "feedback")
    }
    order = data.draw(st.permutations(range(len(logs))))
    assert outcomes(logs_of(*logs), expected) == outcomes(logs_of(*logs, order=order), shuffle)
