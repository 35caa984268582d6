"""Derived parts: a build is the same with any, without any, and whatever is wrong with them."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from support.builds import without_checks
from support.logs import Json
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.flows.stages import derive
from bedrock_sluice.lake.stores.store import Entry
from bedrock_sluice.transforms.curate.derived_rows import DERIVED

OTHER_FILTER = '[select]\noperations = ["Converse"]\n'
Damage = Callable[[Path, Random], None]


def remove(path: Path, _: Random) -> None:
    path.unlink()


def flip_a_bit(path: Path, dice: Random) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, dice: Random) -> None:
    path.write_bytes(path.read_bytes()[: dice.randrange(path.stat().st_size)])


def take_that_of_another(path: Path, dice: Random) -> None:
    """Whole, with the right digest of itself, but made of another landed part."""
    others = sorted(each for each in path.parents[7].rglob("*.parquet") if each.stem != path.stem)
    other = dice.choice(others)
    landed = path.name.split("-")[0]
    digest = other.stem.split("-")[1]
    path.unlink()
    shutil.copy(other, path.with_name(f"{landed}-{digest}.parquet"))


DAMAGES = (remove, flip_a_bit, truncate, take_that_of_another)


class World(NamedTuple):
    """Two recipes over the same logs, in a lake of several landed parts."""

    recipes: tuple[Path, Path]
    lake: Path

    def derived_parts(self) -> list[Path]:
        return sorted((self.lake / "derived").glob("*/landed/**/*.parquet"))

    def compacted_days(self) -> list[Path]:
        days = (self.lake / "derived").rglob("*.parquet")
        return sorted({*days} - {*self.derived_parts()})

    def build(self) -> list[dict[str, bytes]]:
        """Build both anew; return the files of their releases."""
        shutil.rmtree(self.lake / "releases", ignore_errors=True)
        return [built_files(recipe) for recipe in self.recipes]


def built_files(recipe: Path) -> dict[str, bytes]:
    with open_context(recipe) as context, without_checks():
        folder = Path(build(context).uri)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def computed_parts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the landed parts that are derived while a test runs, in order."""
    keys, compute = list[str](), derive.compute_derived

    def note(derivation: derive.Derivation, run: Sequence[derive.DeriveTask]) -> list[Entry]:
        keys.extend(task.landed.key for task in run)
        return compute(derivation, run)

    monkeypatch.setattr(derive, "compute_derived", note)
    return keys


@pytest.fixture
def world(
    tmp_path: Path, write_logs: WriteLogs, records: MakeRecords, recipe: WriteRecipe
) -> World:
    log_records = records(240)
    broken_line = b'{"schemaType": "ModelInvocationLog"'
    for number in range(4):
        mine: list[Json | bytes] = [*log_records[number * 60 : (number + 1) * 60], broken_line]
        write_logs(tmp_path / "logs", [mine], f"2026/10/01/{10 + number}")
    return World((recipe(name="a.toml"), recipe(OTHER_FILTER, name="b.toml")), tmp_path / "lake")


@pytest.mark.parametrize("seed", range(4))
def test_a_release_is_the_same_whatever_derived_parts_there_are(
    world: World, computed_parts: list[str], seed: int
) -> None:
    dice, first = Random(seed), world.build()
    assert len(computed_parts) == len(world.derived_parts()) == 4  # the second recipe computed none
    computed_parts.clear()
    assert world.build() == first
    assert computed_parts == []
    sound = shutil.copytree(world.lake / "derived", world.lake.with_name("sound"))
    for damage in dice.sample(DAMAGES, len(DAMAGES)):
        shutil.rmtree(world.lake / "derived")
        shutil.copytree(sound, world.lake / "derived")
        paths = world.derived_parts()
        hit = dice.sample(paths, dice.randrange(1, len(paths)))
        for path in hit:
            damage(path, dice)
        computed_parts.clear()
        assert world.build() == first
        assert computed_parts, damage
        computed_parts.clear()
        assert world.build() == first  # the lake was repaired
        assert computed_parts == []
    shutil.rmtree(world.lake / "derived")
    assert world.build() == first


def rot(path: Path, dice: Random) -> None:
    """Flip a bit as a disk does: the time of the file's last change stays."""
    status = path.stat()
    flip_a_bit(path, dice)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("seed", range(6))
def test_what_rots_on_disk_is_never_trusted(world: World, seed: int) -> None:
    dice, first = Random(seed), world.build()
    for path in world.compacted_days() if seed % 2 else world.derived_parts():
        rot(path, dice)
    assert world.build() == first
    for path in world.compacted_days():
        rot(path, dice)
    assert world.build() == first


def test_a_part_whose_texts_rot_is_computed_anew(world: World, computed_parts: list[str]) -> None:
    first = world.build()
    for path in world.derived_parts():
        status, content = path.stat(), bytearray(path.read_bytes())
        column = pq.read_metadata(path).row_group(0).column(DERIVED.names.index("messages"))
        content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    computed_parts.clear()
    assert world.build() == first
    assert len(set(computed_parts)) == 4
    computed_parts.clear()
    assert world.build() == first  # the lake was repaired
    assert computed_parts == []


def test_compacted_days_are_made_once_and_again_when_a_part_is_new(
    world: World, records: MakeRecords, write_logs: WriteLogs
) -> None:
    def days() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in world.compacted_days()}

    world.build()
    before = days()
    assert before
    world.build()
    assert days() == before
    write_logs(world.lake.with_name("logs"), [[*records(7)]], "2026/10/01/20")
    later = world.build()
    assert days().keys() > before.keys()
    for path in world.compacted_days():
        path.unlink()
    assert world.build() == later


def test_settings_that_decide_the_content_have_derived_parts_of_their_own(
    world: World, computed_parts: list[str], recipe: WriteRecipe
) -> None:
    world.build()
    for more, number in (
        ("[normalise]\nkeep_reasoning = true\n", 4),
        ('[curate]\nnear_scope = "last_user"\n', 4),
        ("[curate]\nnear_duplicates = false\n", 0),
        ("[curate]\nnear_duplicates = 0.9\nwithin_system = false\n", 0),
        ("[split]\nvalidation = 0.3\n", 0),
    ):
        computed_parts.clear()
        built_files(recipe(more, name="c.toml"))
        assert len(computed_parts) == number, more


def test_parts_without_selected_records_are_not_derived(
    world: World, computed_parts: list[str], recipe: WriteRecipe
) -> None:
    swaps = {"until = 2026-10-02": "until = 2026-10-01T12:00:30Z"}
    built_files(recipe(swaps=swaps, name="c.toml"))
    assert 0 < len(computed_parts) < 4


def test_in_a_bucket_derived_parts_are_made_once(
    bucket: str,
    world: World,
    computed_parts: list[str],
    sluice: RunSluice,
    recipe: WriteRecipe,
) -> None:
    path = recipe(swaps={'"lake"': f'"s3://{bucket}/lake"'}, name="s3.toml")
    first = json.loads(sluice("build", path, "--json").out)
    assert len(computed_parts) == 4
    assert json.loads(sluice("build", path, "--json").out)["id"] == first["id"]
    assert len(computed_parts) == 4
