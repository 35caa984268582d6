"""Days of logs, one after the other: what was held out stays so, and no line goes without a cause.

Each story is a stream of made-up days, built anew after each. Conversations grow, answers are asked
for again, prompts come again word for word or nearly so, and labels arrive late.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import polars as pl
import pytest
from support.builds import without_checks
from support.protocols import MakeRecord, WriteLogs

from bedrock_sluice.expectations.measures import decode_lines, measure_leakage
from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.running.runner import ReportProgress
from bedrock_sluice.flows.stages.split import split_similarity
from bedrock_sluice.transforms.chat.training_line import messages_of
from bedrock_sluice.transforms.dedup.leakage import leakage
from bedrock_sluice.transforms.dedup.line_marks import MarkCache
from bedrock_sluice.transforms.split import TRAIN, VALIDATION

Json = dict[str, Any]

FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)
DAYS = 3
PER_DAY = 45
WORDS = [a + b for a in ("ba", "de", "fo", "gu", "li", "mo", "ne") for b in ("rk", "st", "lm", "n")]
SYSTEMS = ("", "", "Be brief.", "It is 3 May. Be kind.", "It is 4 June. Be kind.")
ANSWERED = '[answer]\nfrom = ["labels", "logged"]\nlabels = "labels.jsonl"\n'
STORIES = (
    ("last", False, 0.8, 20_000, ""),
    ("last", True, 0.8, 20_000, ""),
    ("first", True, 0.7, 40, ""),
    ("each", True, 0.8, 20_000, ""),
    ("each", True, 0.5, 30, 'group_by = ["customer"]\n'),
    ("last", True, 0.6, 20_000, 'group_by = ["customer"]\n'),
    ("last", True, 0.9, 25, 'strata = ["customer"]\n'),
)
CAUSES = {
    "answer_conflict",
    "curate_conversation_turn",
    "curate_exact_duplicate",
    "curate_near_duplicate",
    "split_joined_validation",
    "split_over_max_lines",
}
NAMING = {"curate_conversation_turn", "curate_exact_duplicate", "curate_near_duplicate"}
HARD = (8, 22, 23, 43, 57)  # seeds at which something like what was held out would come back
SEEDS = (0, 3, 4, 5, 6, *HARD)  # each of the recipes at least once
DAY_SEEDS = int(os.environ.get("DAY_SEEDS", "0"))  # how many seeds are tried beyond those


class Fate(NamedTuple):
    """Why a record is no line."""

    reason: str
    survivor: str | None


@dataclass
class Built:
    """What a build came to, by request id; `counts` are those of the leakage certificate."""

    records: int
    lines: dict[str, str]
    sides: dict[str, str]
    fates: dict[str, Fate]
    counts: Json

    def messages(self, side: str) -> list[bytes]:
        """The messages of the lines of a side, as JSON texts."""
        lines = [self.lines[name] for name, at in self.sides.items() if at == side]
        return messages_of(pl.Series(lines, dtype=pl.String))


@dataclass
class Stream:
    """A made-up service: what was said so far, and how it is logged; `heard` has the last day's."""

    dice: Random
    record: MakeRecord
    chats: list[tuple[str, tuple[str, ...], str, str]] = field(default_factory=list)
    labels: list[Json] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)

    def day(self, number: int) -> list[Json]:
        """The records of one more day."""
        records = [self._one(number, nth) for nth in range(PER_DAY)]
        self.heard = {record["requestId"] for record in records}
        for name in self.dice.sample([chat[0] for chat in self.chats], 6):
            self.labels.append({"request_id": name, "final_answer": str(self.dice.randrange(9))})
        return records

    def _one(self, number: int, nth: int) -> Json:
        name = f"day-{number}-{nth}"
        system, texts, customer = self._continue_chat()
        reply = f"{self._text(12)} #### {self.dice.randrange(100)}"
        self.chats.append((name, (*texts, reply), system, customer))
        turns = [
            {"role": ("user", "assistant")[n % 2], "content": [{"text": t}]}
            for n, t in enumerate(texts)
        ]
        answer = {"message": {"role": "assistant", "content": [{"text": reply}]}}
        bodies = (
            {"messages": turns, "system": [{"text": system}] if system else []},
            {"output": answer, "stopReason": "end_turn"},
        )
        at = FIRST + timedelta(days=number, minutes=self.dice.randrange(600))
        metadata = {"customer": customer} if customer else None
        return self.record(request_id=name, bodies=bodies, at=at, metadata=metadata)

    def _continue_chat(self) -> tuple[str, tuple[str, ...], str]:
        """A new question; or an old one again, reworded or not; or one turn more."""
        customer = self.dice.choice(["", "a", "b", "c", "d", "e", "f"])
        kind = self.dice.choice(["new", "grown", "grown", "reworded", "reworded", "again"])
        if kind == "new" or not self.chats:
            return self.dice.choice(SYSTEMS), (self._text(self.dice.randrange(18, 40)),), customer
        _, (*texts, reply), system, owner = self.dice.choice(self.chats)
        if kind == "grown":
            cut = self.dice.choice([0, 0, 0, 2]) if len(texts) > 2 else 0
            return system, (*texts[cut:], reply, self._text(9)), owner
        if kind == "reworded":
            texts[-1] = self._reword(texts[-1])
        return system, tuple(texts), customer

    def _text(self, words: int) -> str:
        return " ".join(self.dice.choices(WORDS, k=words))

    def _reword(self, text: str) -> str:
        words = text.split()
        words[self.dice.choice([0, 1, -1, len(words) // 2])] = self.dice.choice(WORDS)
        return " ".join(words)


def _build_release(path: Path) -> Built:
    """A release, and what its stages did."""
    stage_results: Json = {}

    def run_stage(name: str, work: Callable[[ReportProgress], Any]) -> Any:
        stage_results[name] = work(lambda _steps, _total: None)
        return stage_results[name]

    with open_context(path) as context, without_checks():
        build(context, run_stage)
        lines = stage_results["render"].kept
        leaks = measure_leakage(lines, decode_lines(lines["json"]), split_similarity(context), None)
    results = [
        stage_results["normalise"],
        stage_results["curate"].result,
        stage_results["answer"].result,
    ]
    results += [stage_results["split"], stage_results["render"]]
    rejected_rows = pl.concat([each.rejected for each in results], how="diagonal")
    fates = rejected_rows.select("request_id", "reason", "survivor").iter_rows()
    return Built(
        records=stage_results["select"].records.height,
        lines=dict(lines.select("request_id", "json").iter_rows()),
        sides=dict(lines.select("request_id", "split").iter_rows()),
        fates={name: Fate(*fate) for name, *fate in fates},
        counts=leaks.sum().row(0, named=True),
    )


class Story(NamedTuple):
    """What was built after each day, what was new then, and how near is near."""

    number: int
    releases: list[Built]
    heard: list[set[str]]
    labels_by_day: list[set[str]]
    similarity: float


def _tell_story(folder: Path, number: int, write_logs: WriteLogs, record: MakeRecord) -> Story:
    policy, history, similarity, most, more = STORIES[number % len(STORIES)]
    stream = Stream(Random(number), record)
    recipe = folder / "days.toml"
    recipe.write_text(
        'name = "days"\nlake = "lake"\n[source]\nuri = "logs"\n[template]\nname = "math"\n'
        f"history = {str(history).lower()}\n{ANSWERED}"
        f'[curate]\nconversations = "{policy}"\nnear_duplicates = {similarity}\n'
        f"[split]\nvalidation = 0.3\nmax_lines = {most}\n{more}"
    )
    story = Story(number, [], [], [], similarity)
    for day in range(DAYS):
        write_logs(folder / "logs", [stream.day(day)], f"2026/10/{1 + day:02}/12")
        rows = "".join(json.dumps(row) + "\n" for row in stream.labels)
        (folder / "labels.jsonl").write_text(rows)
        story.releases.append(_build_release(recipe))
        story.heard.append(stream.heard)
        story.labels_by_day.append({row["request_id"] for row in stream.labels})
    assert {TRAIN, VALIDATION} <= {side for each in story.releases for side in each.sides.values()}
    return story


def every_record_has_one_fate_and_its_survivor_is_a_record(story: Story) -> None:
    known_ids = set[str]()
    for release, heard in zip(story.releases, story.heard, strict=True):
        known_ids |= heard
        assert release.lines.keys() | release.fates.keys() == known_ids
        assert len(release.lines) + len(release.fates) == release.records
        survivors = {f.survivor for f in release.fates.values() if f.reason in NAMING}
        assert survivors <= known_ids


def sides_never_overlap_in_what_was_written(story: Story) -> None:
    assert [release.counts for release in story.releases if any(release.counts.values())] == []


def no_record_ever_changes_its_side(story: Story) -> None:
    sides = dict[str, str]()
    for release in story.releases:
        assert {n: sides[n] for n in release.sides.keys() & sides.keys()}.items() <= (
            release.sides.items()
        )
        sides |= release.sides


def what_was_held_out_is_never_trained_on_later(story: Story) -> None:
    for before, after in combinations(story.releases, 2):
        held_out_messages, trained_messages = before.messages(VALIDATION), after.messages(TRAIN)
        sides = pl.Series([VALIDATION] * len(held_out_messages) + [TRAIN] * len(trained_messages))
        marks = MarkCache().marks([*held_out_messages, *trained_messages])
        counts = leakage(marks, sides, min(story.similarity, 0.8))
        assert counts.sum().row(0, named=True) == dict.fromkeys(counts.columns, 0)


def newly_labelled(story: Story, today: int) -> set[str]:
    """Who got a label today, and who says the same word for word, so that it has it too."""
    new = story.labels_by_day[today] - story.labels_by_day[today - 1]
    same = {
        names
        for release in story.releases[today - 1 : today + 1]
        for name, fate in release.fates.items()
        if fate.reason == "curate_exact_duplicate" and fate.survivor
        for names in ((name, fate.survivor), (fate.survivor, name))
    }
    for _ in range(3):  # a duplicate of a duplicate's survivor, the day before and today
        new = new | {other for name, other in same if name in new}
    return new


def a_line_goes_only_for_a_cause_that_is_named(story: Story) -> None:
    for today, (before, after) in enumerate(pairwise(story.releases), start=1):
        lost_lines = {name: after.fates[name] for name in before.lines.keys() - after.lines.keys()}
        came = after.lines.keys() - before.lines.keys()
        over = [fate for fate in lost_lines.values() if fate.reason == "split_over_max_lines"]
        assert {fate.reason for fate in lost_lines.values()} <= CAUSES
        assert len(over) <= len(came)
        # Who says the same word for word gives way to the newest alone, or to one with a new label.
        fresh = story.heard[today] | newly_labelled(story, today)
        freed_ids = {name for name, fate in before.fates.items() if fate.reason in NAMING}
        survivors = {
            f.survivor for f in lost_lines.values() if f.reason == "curate_exact_duplicate"
        }
        assert survivors <= fresh | freed_ids


def a_line_that_stays_is_the_same_but_for_a_new_label(story: Story) -> None:
    for today, (before, after) in enumerate(pairwise(story.releases), start=1):
        both = before.lines.keys() & after.lines.keys()
        changed_ids = {name for name in both if before.lines[name] != after.lines[name]}
        assert changed_ids <= newly_labelled(story, today)


LAWS = (
    every_record_has_one_fate_and_its_survivor_is_a_record,
    sides_never_overlap_in_what_was_written,
    no_record_ever_changes_its_side,
    what_was_held_out_is_never_trained_on_later,
    a_line_goes_only_for_a_cause_that_is_named,
    a_line_that_stays_is_the_same_but_for_a_new_label,
)


@pytest.mark.parametrize("seed", [*SEEDS, *range(100, 100 + DAY_SEEDS)])
def test_every_law_holds_after_each_day(
    seed: int, tmp_path: Path, write_logs: WriteLogs, record: MakeRecord
) -> None:
    story = _tell_story(tmp_path, seed, write_logs, record)
    for law in LAWS:
        law(story)
