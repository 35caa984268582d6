"""Marks of lines, kept beside a release: the next build computes those of new lines alone."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.builds import without_checks
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.derived import digest_of
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.dedup import line_marks
from bedrock_sluice.transforms.dedup.line_marks import MarkCache

DAYS, PER_DAY = 3, 60
SETTINGS = '[privacy]\npersonal_data = "mask"\n[split]\nvalidation = 0.3\n'
UNTIL = "until = 2026-10-02\n"


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages were marked anew by each call, but for those of the gate's sample."""
    numbers, compute = list[int](), line_marks._compute

    def note(messages: Sequence[bytes]) -> Any:
        numbers.append(len(messages))
        return compute(messages)

    monkeypatch.setattr(line_marks, "_compute", note)
    monkeypatch.setattr(MarkCache, "verify", lambda *_: None)
    return numbers


class Nights:
    """A recipe whose logs grow by a day; some lines are masked, and so are not what was logged."""

    def __init__(self, recipe: Path, records: list[Any], write_logs: WriteLogs) -> None:
        self._recipe, self._records, self._write_logs = recipe, records, write_logs
        self.lake = recipe.parent / "lake"

    def build(self, day: int) -> Release:
        """Write the logs of a day, and build."""
        batch = self._records[day * PER_DAY : (day + 1) * PER_DAY]
        self._write_logs(self._recipe.parent / "logs", [batch], f"2026/10/0{1 + day}/12")
        return self.build_again()

    def build_again(self) -> Release:
        """Build."""
        with open_context(self._recipe) as context, without_checks():
            return build(context)

    def marks(self) -> list[Path]:
        """The files of marks, one for each release."""
        return sorted((self.lake / "derived").glob("*/lines/sums/*.parquet"))


@pytest.fixture
def nights(recipe: WriteRecipe, records: MakeRecords, write_logs: WriteLogs) -> Nights:
    text = json.dumps(records(DAYS * PER_DAY)).replace("7? End", "7, ann@example.org? End")
    return Nights(recipe(SETTINGS, {UNTIL: ""}), json.loads(text), write_logs)


def test_a_night_computes_marks_of_new_lines_alone(nights: Nights, counts: list[int]) -> None:
    nights.build(0)
    assert 0 < sum(counts) < PER_DAY // 4  # those of other lines are in the derived parts
    counts.clear()
    nights.build(1)
    assert sum(counts) < PER_DAY // 4
    for path in nights.marks():
        path.unlink()
    counts.clear()
    nights.build(2)
    assert sum(counts) > PER_DAY  # all lines of the night before


def test_what_was_held_out_before_the_last_release_is_kept_too(
    nights: Nights, counts: list[int], recipe: WriteRecipe
) -> None:
    """Its logs have left the window, so no derived part that the build reads has it."""
    nights.build(0)
    nights.build(1)
    recipe(SETTINGS, {UNTIL: "", "since = 2026-10-01\n": "since = 2026-10-01T12:02:00\n"})
    counts.clear()
    nights.build(2)
    assert counts[0] == 0  # by the stage `split`, of all that was held out or trained on


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_other_columns(path: Path) -> None:
    """A whole file under the name of its digest, but of another version."""
    pq.write_table(pa.table({"messages_digest": [b"0" * 16]}), path)
    path.rename(path.with_name(f"{path.stem.rsplit('-', 1)[0]}-{digest_of(path)[:24]}.parquet"))


@pytest.mark.parametrize("damage", [Path.unlink, cut, flip, of_other_columns])
def test_a_release_is_the_same_with_and_without_kept_marks(
    nights: Nights, damage: Callable[[Path], None]
) -> None:
    nights.build(0)
    release = nights.build(1)
    content = {path.name: path.read_bytes() for path in Path(release.uri).iterdir()}
    shutil.rmtree(release.uri)
    first, second = nights.marks()
    damage(first if release.id in second.name else second)
    again = nights.build_again()
    assert {path.name: path.read_bytes() for path in Path(again.uri).iterdir()} == content


def test_damaged_marks_are_replaced(nights: Nights, counts: list[int]) -> None:
    nights.build(0)
    (path,) = nights.marks()
    flip(path)
    nights.build_again()
    assert path.with_name(f"{path.stem}-1.parquet") in nights.marks()
    counts.clear()
    nights.build(1)
    assert sum(counts) < PER_DAY // 4


def test_marks_beside_earlier_releases_are_garbage(nights: Nights, sluice: RunSluice) -> None:
    nights.build(0)
    nights.build(1)
    last = max(nights.marks())
    result = sluice(
        "gc", nights.lake.parent / "sums.toml", "--older-than", "0", "--delete", "--json"
    )
    causes = {each["cause"]: each["files"] for each in json.loads(result.out)["garbage"]}
    assert causes["earlier_release"] == 1
    assert nights.marks() == [last]
