"""Laws of the data, judged from the released files and from what was logged, and nothing else.

Each set of logs is made of questions whose truth is known here: which records ask the same, in
which session, with which label, and whose response is no good. A set is built after each of two
days. The environment says how many sets there are (`LAW_SETS`), and their seeds begin with 0.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import polars as pl
import pytest
from support.builds import without_checks
from support.protocols import MakeRecord, WriteLogs

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build

Json = dict[str, Any]

FIRST = datetime(2026, 10, 1, 9, tzinfo=UTC)
LAW_SETS = int(os.environ.get("LAW_SETS", "6"))
QUESTIONS = 90
VALIDATION = 0.2
INSTRUCTION = " ".join(f"rule{n}" for n in range(160))
SYSTEMS = ("", "You are a tutor, version one.", "You are a tutor, version two.", "Today is {day}.")
BAD_STOPS = ("max_tokens", "malformed_model_output", "refusal", "guardrail_intervened", "novel")
RECIPES = (
    "",
    "[curate]\nwithin_system = false\n",
    "[curate]\nnear_duplicates = false\n",
    '[curate]\nconversation_key = "session"\nconversations = "each"\n',
    '[curate]\nconversation_key = "session"\n',
    '[split]\ngroup_by = ["session"]\n',
)


class Question(NamedTuple):
    """One record, and what is true of it."""

    name: str
    question: int
    text: str
    system: str
    session: str | None
    label: int | None
    answer: int
    stop: str

    @property
    def is_good(self) -> bool:
        return self.stop == "end_turn"


class Released(NamedTuple):
    """A release as its reader finds it: the side and the answer of each line, and all fates."""

    sides: dict[str, str]
    answers: dict[str, str]
    fates: dict[str, Json]


class World(NamedTuple):
    """What was logged on two days, and what was released after each."""

    recipe: str
    questions: dict[str, Question]
    releases: list[Released]


def make_world(seed: int) -> list[list[Question]]:
    """The records of two days: questions in variants, some of them asked on both days."""
    dice = Random(seed)
    texts = [_question(n, dice) for n in range(QUESTIONS)]
    days = list[list[Question]]()
    for day in range(2):
        records = list[Question]()
        for question in range(day * 20, QUESTIONS - 20 * (1 - day)):
            label = dice.randrange(1_000, 2_000) if dice.random() < 0.4 else None
            times = dice.choice((1, 1, 2, 3, 5))
            labelled_time = dice.randrange(times) if label is not None else None
            for nth in range(times):
                records.append(
                    Question(
                        name=f"day{day}-q{question}-{nth}",
                        question=question,
                        text=_variant(texts[question], dice),
                        system=dice.choice(SYSTEMS).format(day=f"2026-10-{1 + day:02}"),
                        session=f"s{dice.randrange(25)}" if dice.random() < 0.5 else None,
                        label=label if nth == labelled_time else None,
                        answer=10_000 * (day + 1) + len(records),
                        stop="end_turn" if dice.random() < 0.85 else dice.choice(BAD_STOPS[:3]),
                    )
                )
        days.append(records)
    return days


def _question(number: int, dice: Random) -> str:
    """Sixty words of its own; or one instruction, and a short question."""
    if number % 3:
        return f"{INSTRUCTION} what does item{number} of shelf{number} cost in town{number} now"
    return " ".join(f"q{number}w{dice.randrange(10**6)}" for _ in range(60))


def _variant(text: str, dice: Random) -> str:
    """The question, maybe with another first or last word: nearly the same, pair by pair."""
    first, *middle, last = text.split()
    words = [dice.choice((first, first, "Please")), *middle, dice.choice((last, last, "thanks"))]
    return " ".join(words)


def _log_record(question: Question, at: datetime, record: MakeRecord) -> Json:
    system = [{"text": question.system}] if question.system else []
    bodies = (
        {"messages": [{"role": "user", "content": [{"text": question.text}]}], "system": system},
        {
            "output": {
                "message": {"role": "assistant", "content": [{"text": f"#### {question.answer}"}]}
            },
            "stopReason": question.stop,
        },
    )
    metadata = {"session": question.session} if question.session else None
    return record(request_id=question.name, bodies=bodies, at=at, metadata=metadata)


def _build_release(recipe: Path) -> Released:
    with open_context(recipe) as context, without_checks():
        release = Path(build(context).uri)
    sides, answers = dict[str, str](), dict[str, str]()
    for side in ("train", "validation"):
        for text in (release / f"{side}.jsonl").read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            sides[line["id"]] = side
            answers[line["id"]] = line["reference_answer"]["final_answer"]
    fates = pl.read_parquet(release / "fates.parquet").to_dicts()
    return Released(sides, answers, {fate["request_id"]: fate for fate in fates})


def _world(folder: Path, seed: int, write_logs: WriteLogs, record: MakeRecord) -> World:
    more = RECIPES[seed % len(RECIPES)]
    split = f"validation = {VALIDATION}\n"
    more = more + split if "[split]" in more else f"{more}[split]\n{split}"
    recipe = folder / "laws.toml"
    recipe.write_text(
        'name = "laws"\nlake = "lake"\n[source]\nuri = "logs"\n[template]\nname = "math"\n'
        f'[answer]\nfrom = ["labels", "logged"]\nlabels = "labels.jsonl"\n{more}'
    )
    world = World(more, {}, [])
    for day, records in enumerate(make_world(seed)):
        world.questions.update({each.name: each for each in records})
        labels = [each for each in world.questions.values() if each.label is not None]
        rows = [{"request_id": each.name, "final_answer": str(each.label)} for each in labels]
        (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        start = FIRST + timedelta(days=day)
        log_records = [
            _log_record(each, start + timedelta(seconds=n), record)
            for n, each in enumerate(records)
        ]
        write_logs(folder / "logs", [log_records], f"{start:%Y/%m/%d/%H}")
        world.releases.append(_build_release(recipe))
    return world


def _groups(world: World) -> dict[int, int]:
    """The lowest question that each one hangs together with, by the sessions of the recipe."""
    lowest = {each.question: each.question for each in world.questions.values()}
    if "session" not in world.recipe:
        return lowest
    by_session = dict[str, set[int]]()
    for name in world.releases[0].sides:
        if session := world.questions[name].session:
            by_session.setdefault(session, set()).add(world.questions[name].question)
    for _ in range(len(lowest)):
        for questions in by_session.values():
            least = min(lowest[question] for question in questions)
            lowest |= dict.fromkeys(questions, least)
    return lowest


def no_question_is_in_both_files_of_any_two_releases(world: World) -> None:
    """Whatever its system message; and what was held out once is never trained on later."""
    held_out_questions = set[int]()
    for release in world.releases:
        of_side = {"train": set[int](), "validation": held_out_questions}
        for name, side in release.sides.items():
            of_side[side].add(world.questions[name].question)
        assert of_side["train"] & held_out_questions == set()


def validation_has_its_share_of_what_hangs_together(world: World) -> None:
    """Of the first release; where the second one joins sessions of both sides, validation wins."""
    groups = _groups(world)
    for release in world.releases[: 1 if "session" in world.recipe else 2]:
        sides = {groups[world.questions[name].question]: s for name, s in release.sides.items()}
        validation_count = sum(side == "validation" for side in sides.values())
        slack = 4 * sqrt(len(sides) * VALIDATION * (1 - VALIDATION)) + 1
        assert abs(validation_count - VALIDATION * len(sides)) <= slack


def every_label_is_the_answer_of_a_line(world: World) -> None:
    """But of a question that is held out, whose lines of train had to go."""
    for day, release in enumerate(world.releases):
        answers = {(world.questions[n].question, answer) for n, answer in release.answers.items()}
        dropped_questions = {
            world.questions[name].question
            for name, fate in release.fates.items()
            if fate["reason"] == "split_joined_validation"
        }
        labelled_questions = [
            each
            for each in world.questions.values()
            if each.label is not None
            and int(each.name[3]) <= day
            and each.question not in dropped_questions
        ]
        lost_names = {
            each.name
            for each in labelled_questions
            if not _is_answered(each, labelled_questions, answers)
        }
        if '"session"\nconversations' in world.recipe or "conversation_key" not in world.recipe:
            assert lost_names == set()
        assert {release.fates[name]["reason"] for name in lost_names} <= {"answer_conflict"}


def _is_answered(
    each: Question, labelled_questions: list[Question], answers: set[tuple[int, str]]
) -> bool:
    """Whether its label is an answer; labels of one and the same prompt may contradict."""
    same = {
        other.label
        for other in labelled_questions
        if (other.text, other.system) == (each.text, each.system)
    }
    return len(same) > 1 or (each.question, str(each.label)) in answers


def only_a_label_or_a_good_response_is_an_answer(world: World) -> None:
    bad = {str(each.answer) for each in world.questions.values() if not each.is_good}
    for release in world.releases:
        assert bad & set(release.answers.values()) == set()


def nothing_goes_for_the_split_but_where_sessions_of_both_sides_meet(world: World) -> None:
    """A question that is asked again in other words keeps its side, and its line."""
    for release in world.releases[: 1 if "session" in world.recipe else 2]:
        reasons = {fate["reason"] for fate in release.fates.values()}
        assert "split_joined_validation" not in reasons


def a_session_lies_on_one_side(world: World) -> None:
    if "session" not in world.recipe:
        return
    for release in world.releases:
        sides = dict[str, set[str]]()
        for name, side in release.sides.items():
            if session := world.questions[name].session:
                sides.setdefault(session, set()).add(side)
        assert [session for session, both in sides.items() if len(both) > 1] == []


def every_question_that_can_be_answered_has_a_line(world: World) -> None:
    """One long instruction makes no two questions the same, nor do dates or system messages."""
    for day, release in enumerate(world.releases):
        records = [each for each in world.questions.values() if int(each.name[3]) <= day]
        answerable = {e.question for e in records if e.is_good or e.label is not None}
        lines = {world.questions[name].question for name in release.sides}
        dropped_questions = {
            world.questions[name].question
            for name, fate in release.fates.items()
            if fate["reason"] in {"split_joined_validation", "curate_conversation_turn"}
            or fate["reason"] == "answer_conflict"
        }
        assert answerable - lines - dropped_questions == set()
        if "near_duplicates = false" in world.recipe:
            prompts = {(each.text, each.system) for each in records if each.is_good}
            kept = {(world.questions[n].text, world.questions[n].system) for n in release.sides}
            lost_prompts = {
                (world.questions[n].text, world.questions[n].system)
                for n, fate in release.fates.items()
                if fate["reason"] in GIVING_WAY
            }
            assert prompts <= kept | lost_prompts


GIVING_WAY = {"split_joined_validation", "answer_conflict"}

LAWS = (
    no_question_is_in_both_files_of_any_two_releases,
    validation_has_its_share_of_what_hangs_together,
    every_label_is_the_answer_of_a_line,
    only_a_label_or_a_good_response_is_an_answer,
    nothing_goes_for_the_split_but_where_sessions_of_both_sides_meet,
    a_session_lies_on_one_side,
    every_question_that_can_be_answered_has_a_line,
)


@pytest.mark.parametrize("seed", range(LAW_SETS))
def test_every_law_holds_in_the_releases_of_two_days(
    seed: int, tmp_path: Path, write_logs: WriteLogs, record: MakeRecord
) -> None:
    world = _world(tmp_path, seed, write_logs, record)
    for law in LAWS:
        law(world)
