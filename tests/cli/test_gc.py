"""`sluice gc`: lists, and with --delete deletes, what no recipe needs, and touches nothing else."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from support.builds import without_checks
from support.logs import Json
from support.protocols import MakeRecords, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.context import open_context
from bedrock_sluice.flows.pipeline import build
from bedrock_sluice.lake.files import STALE_SECONDS, TEMPORARY_PREFIX
from bedrock_sluice.lake.stores.opening import open_store

OTHER_SETTINGS = "[normalise]\nkeep_reasoning = true\n"
NOW = ("--older-than", "0")
PARTS = 3
FINGERPRINT = re.compile("derived/[0-9a-f]{16}/")

DIE = """
import os, signal, sys
removals = 0
def kill(event, arguments):
    global removals
    if event == "os.remove" and "/derived/" in str(arguments[0]):
        removals += 1
        if removals == 2:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
from bedrock_sluice.cli.app import main
main()
"""


class World(NamedTuple):
    """Two recipes with derived parts of their own over the same logs, in one lake."""

    first: Path
    second: Path
    lake: str

    def files(self) -> dict[str, bytes]:
        """All files of the lake."""
        store = open_store(self.lake)
        return {entry.key: store.read(entry) for entry in store.entries()}


def build_release(recipe: Path) -> str:
    """Build without the checks; return the id, which has the digest of all that decides it."""
    with open_context(recipe) as context, without_checks():
        return build(context).id


def others(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files that are not below `derived/`."""
    return {key: content for key, content in files.items() if not key.startswith("derived/")}


def by_fingerprint(files: dict[str, bytes]) -> dict[str, list[str]]:
    """The keys below `derived/<fingerprint>/`, by fingerprint."""
    keys = sorted(key for key in files if FINGERPRINT.match(key))
    names = dict.fromkeys(key.split("/")[1] for key in keys)
    return {name: [key for key in keys if key.split("/")[1] == name] for name in names}


def age(folder: Path, days: float) -> None:
    """Make all files of a folder older."""
    then = time.time() - days * 24 * 3_600
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


@pytest.fixture(params=["folder", "s3"])
def world(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_logs: WriteLogs,
    records: MakeRecords,
    recipe: WriteRecipe,
) -> World:
    log_records = records(40 * PARTS)
    for number in range(PARTS):
        mine: list[Json | bytes] = [*log_records[number * 40 : (number + 1) * 40]]
        write_logs(tmp_path / "logs", [mine], f"2026/10/01/{10 + number}")
    swaps, lake = dict[str, str](), str(tmp_path / "lake")
    if request.param == "s3":
        lake = f"s3://{request.getfixturevalue('bucket')}/lake"
        swaps = {'"lake"': f'"{lake}"'}
    first = recipe(swaps=swaps, name="a.toml")
    return World(first, recipe(OTHER_SETTINGS, swaps, "b.toml"), lake)


in_a_folder = pytest.mark.parametrize("world", ["folder"], indirect=True)


def test_what_only_a_recipe_needs_that_is_not_named_is_listed_and_deleted(
    world: World, sluice: RunSluice
) -> None:
    build_release(world.first)
    (own,) = by_fingerprint(world.files())
    release = build_release(world.second)
    before = world.files()
    (other,) = by_fingerprint(before).keys() - {own}
    keys = by_fingerprint(before)[other]
    size, number = sum(len(before[key]) for key in keys), len(keys)

    both = sluice("gc", world.first, world.second, *NOW, "--delete")
    assert (both.code, both.out) == (0, "")
    assert "nothing to delete" in both.err
    assert world.files() == before

    result = sluice("gc", world.first, *NOW, "--json")
    facts = json.loads(result.out)
    assert result.code == 0
    assert world.files() == before  # it only tells
    (garbage,) = facts["garbage"]
    assert (facts["files"], facts["bytes"], facts["deleted"]) == (number, size, False)
    assert (garbage["cause"], garbage["fingerprint"]) == ("other_fingerprint", other)
    assert (garbage["files"], garbage["bytes"], garbage["young"]) == (number, size, False)
    derived_files = {key for key in before if key.startswith("derived/")}
    assert facts["in_use"]["files"] == len(derived_files) - number > PARTS

    text = sluice("gc", world.first, *NOW).err
    assert other in text
    assert f"{number} files ({size / 1e6:,.1f} MB) can be deleted: run again with --delete" in text

    assert f"deleted {number} files" in sluice("gc", world.first, *NOW, "--delete").err
    after = world.files()
    assert others(after) == others(before)
    assert by_fingerprint(after) == {own: by_fingerprint(before)[own]}
    assert build_release(world.second) == release


@in_a_folder
def test_compacted_days_to_which_parts_came_are_deleted(
    world: World, sluice: RunSluice, write_logs: WriteLogs, records: MakeRecords
) -> None:
    build_release(world.first)
    before = world.files()
    first_days = {key for key in before if re.search(r"/\d\d-[0-9a-f]+-[0-9a-f]+\.parquet", key)}
    late_records: list[Json | bytes] = [*records(40 * PARTS + 10)[-10:]]
    write_logs(world.first.parent / "logs", [late_records], "2026/10/01/23")
    release = build_release(world.first)

    garbage = json.loads(sluice("gc", world.first, *NOW, "--json").out)["garbage"]
    causes = [each["cause"] for each in garbage if each["cause"] != "earlier_release"]
    assert causes == ["outdated_day", "outdated_day"]
    assert sluice("gc", world.first, *NOW, "--delete").code == 0
    assert len(first_days) == 2  # of landed and of derived parts
    deleted_keys = before.keys() - world.files().keys()
    assert {key for key in deleted_keys if "/lines/" not in key} == first_days
    assert build_release(world.first) == release
    assert "nothing to delete" in sluice("gc", world.first, *NOW).err


@in_a_folder
def test_the_parts_of_a_fingerprint_stay_as_long_as_one_of_them_is_young(
    world: World, sluice: RunSluice
) -> None:
    build_release(world.second)
    before, folder = world.files(), Path(world.lake, "derived")
    age(Path(world.lake), days=8)
    (fingerprint,) = by_fingerprint(before)
    next(path for path in (folder / fingerprint).rglob("*.parquet")).touch()
    result = sluice("gc", world.first, "--delete", "--json")
    (garbage,) = json.loads(result.out)["garbage"]
    keys = by_fingerprint(before)[garbage["fingerprint"]]
    assert (garbage["files"], garbage["young"]) == (len(keys), True)
    assert "nothing to delete" in sluice("gc", world.first, "--delete").err
    assert world.files() == before
    age(Path(world.lake), days=6)
    sluice("gc", world.first, "--delete")
    assert world.files() == before
    age(Path(world.lake), days=8)
    sluice("gc", world.first, "--delete")
    assert world.files() == {key: before[key] for key in before if key not in keys}
    assert not (folder / garbage["fingerprint"]).exists()


@in_a_folder
def test_parts_whose_landed_part_is_gone_are_garbage(world: World, sluice: RunSluice) -> None:
    build_release(world.first)
    before = world.files()
    landed = next(key for key in before if key.startswith("landed/"))
    Path(world.lake, landed).unlink()
    (garbage,) = json.loads(sluice("gc", world.first, *NOW, "--delete", "--json").out)["garbage"]
    assert (garbage["cause"], garbage["files"]) == ("no_landed_part", 1)
    (key,) = before.keys() - world.files().keys() - {landed}
    assert key.startswith(f"derived/{garbage['fingerprint']}/{landed.removesuffix('.parquet')}")


def damage(world: World, suffix: str) -> None:
    """Change the first derived part whose name ends so, as a broken disk would."""
    store = open_store(world.lake)
    (fingerprint,) = by_fingerprint(world.files())
    entries = store.entries(f"derived/{fingerprint}/landed/")
    entry = next(entry for entry in entries if entry.key.endswith(suffix))
    content = store.read(entry)
    store.delete([entry])
    store.put_new(entry.key, content + b"damage")


def test_a_damaged_part_is_garbage_once_it_is_replaced(world: World, sluice: RunSluice) -> None:
    release = build_release(world.first)
    command = ("gc", world.first, *NOW, "--delete", "--json")
    for suffix in (".parquet", "-1.parquet"):  # what replaced a part can be replaced as well
        damage(world, suffix)
        assert json.loads(sluice(*command).out)["garbage"] == []
        assert build_release(world.first) == release
        before = world.files()
        (garbage,) = json.loads(sluice(*command).out)["garbage"]
        assert (garbage["cause"], garbage["files"]) == ("replaced", 1)
        after = world.files()
        (key,) = before.keys() - after.keys()
        assert key.endswith(suffix)
        assert before[key].endswith(b"damage")
        assert others(after) == others(before)
        assert build_release(world.first) == release
        # What is left is sound, so no part was put.
        assert not [key for key in world.files().keys() - after.keys() if "/landed/" in key]


@in_a_folder
def test_what_interrupted_writes_left_is_garbage_and_what_is_being_written_is_not(
    world: World, sluice: RunSluice
) -> None:
    build_release(world.first)
    before = world.files()
    folder = next(Path(world.lake, key).parent for key in before if key.startswith("landed/"))
    old, new = (folder / f"{TEMPORARY_PREFIX}{letter * 16}" for letter in "ab")
    for path in (old, new):
        path.write_bytes(b"half of it")
    long_ago = time.time() - STALE_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    assert json.loads(sluice("gc", world.first, "--json").out)["garbage"][0]["young"]
    (garbage,) = json.loads(sluice("gc", world.first, *NOW, "--delete", "--json").out)["garbage"]
    assert (garbage["cause"], garbage["files"], garbage["bytes"]) == ("interrupted", 1, 10)
    assert (old.exists(), new.exists()) == (False, True)
    assert world.files() == before


@in_a_folder
def test_a_deletion_that_was_killed_is_completed_by_the_next(
    world: World, sluice: RunSluice
) -> None:
    build_release(world.second)
    before = world.files()
    (keys,) = by_fingerprint(before).values()
    arguments = ["gc", str(world.first), *NOW, "--delete"]
    process = subprocess.run([sys.executable, "-c", DIE, *arguments], check=False)
    assert process.returncode == -signal.SIGKILL
    midway = world.files()
    assert len(midway) == len(before) - 1
    assert f"deleted {len(keys) - 1} files" in sluice(*arguments).err
    assert world.files() == {key: before[key] for key in before if key not in keys}


@in_a_folder
def test_a_recipe_that_is_wrong_deletes_nothing(
    world: World, sluice: RunSluice, recipe: WriteRecipe
) -> None:
    build_release(world.second)
    before = world.files()
    wrong = recipe(swaps={"[template]": "[templates]"}, name="wrong.toml")
    for paths in ([world.first, wrong], [wrong.parent], [wrong.parent / "none"]):
        result = sluice("gc", *paths, *NOW, "--delete", "--json")
        assert result.code == 2
        assert json.loads(result.out)["error"]["kind"] in ("recipe", "config")
    assert world.files() == before


@in_a_folder
def test_recipes_of_several_lakes_are_refused(
    world: World, sluice: RunSluice, recipe: WriteRecipe
) -> None:
    elsewhere = recipe(swaps={'"lake"': '"lake2"', '"sums"': '"other"'}, name="c.toml")
    result = sluice("gc", world.first, elsewhere, "--delete")
    assert result.code == 2
    assert "lake2" in result.err
    folder = world.first.parent / "more"
    folder.mkdir()
    shutil.move(recipe(swaps={'"lake"': '"../lake"', '"sums"': '"other"'}), folder / "d.toml")
    assert sluice("gc", world.first, folder).code == 0  # the same lake by another path


def test_an_empty_lake_has_nothing_to_delete(world: World, sluice: RunSluice) -> None:
    result = sluice("gc", world.first, "--delete", "--json")
    assert result.code == 0
    facts = json.loads(result.out)
    assert (facts["files"], facts["garbage"], facts["in_use"]["files"]) == (0, [], 0)
    assert world.files() == {}


def test_a_negative_age_is_wrong_usage(sluice: RunSluice, recipe: WriteRecipe) -> None:
    assert sluice("gc", recipe(), "--older-than", "-1").code == 2
