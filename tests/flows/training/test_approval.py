"""Approving a release: who may, what it is bound to, and that the first approval stands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from support.releases import publish_files

from bedrock_sluice.expectations.checks import Check, Limit, encode_checks
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.training.approval import approve, find_approvals
from bedrock_sluice.lake.releases.manifest import Verdict
from bedrock_sluice.lake.releases.release import (
    Release,
    approvals_folder,
    open_release,
)
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
FAILED = Check(
    name="train_count",
    message="the training file has 100 lines",
    severity="fail",
    passed=False,
    measured=1,
    limit=Limit(100),
    unit="lines",
    examples=[],
    hint="Add logs",
)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A small release that passed, in a lake on disk."""
    return publish_release(tmp_path, "passed")


def publish_release(folder: Path, verdict: Verdict) -> Release:
    lake = str(folder / "lake")
    recipe = Recipe.model_validate(
        {"name": "math", "lake": lake, "source": {"uri": "logs"}, "template": {"name": "math"}}
    )
    checks = encode_checks([msgspec.structs.replace(FAILED, passed=verdict == "passed")]).decode()
    texts = {"train.jsonl": '{"id":"a"}\n', "validation.jsonl": "", "checks.json": checks}
    files = {name: folder / name for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    return publish_files(recipe, files, verdict)


def edit_manifest(release: Release, old: str, new: str) -> Release:
    path = Path(release.uri, "manifest.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return open_release(release.uri)


def approval_paths(release: Release) -> list[Path]:
    return sorted(Path(release.lake.uri, approvals_folder(release)).glob("*"))


def test_an_approval_says_who_when_and_of_what(release: Release) -> None:
    at = datetime(2026, 11, 2, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    approval = approve(release, "  Dana Reviewer ", at)
    manifest = Path(release.uri, "manifest.json").read_bytes()
    assert find_approvals(release) == [approval]
    (path,) = approval_paths(release)
    record = json.loads(path.read_text())
    assert len(record.pop("checksum")) == 64
    assert record == {
        "release": release.id,
        "name": "math",
        "digest": release.manifest.digest,
        "manifest": sha256(manifest).hexdigest(),
        "by": "Dana Reviewer",
        "at": "2026-11-02T12:30:00Z",
    }


def test_nothing_is_approved_before_somebody_approves(release: Release) -> None:
    assert find_approvals(release) == []


def test_every_approver_is_recorded_and_the_first_approval_of_each_stands(
    release: Release,
) -> None:
    dana = approve(release, "Dana", NOON)
    eve = approve(release, "Eve", NOON + timedelta(days=1))
    assert approve(release, "Dana", NOON + timedelta(days=2)) == dana
    assert find_approvals(release) == [dana, eve]


def test_a_rejected_release_is_not_approved(tmp_path: Path) -> None:
    rejected = publish_release(tmp_path, "rejected")
    with pytest.raises(RefusedError, match="rejected by the gate") as refusal:
        approve(rejected, "Dana", NOON)
    assert refusal.value.exit_code == 1
    assert find_approvals(rejected) == []


def test_a_verdict_written_over_by_hand_changes_nothing(tmp_path: Path) -> None:
    rejected = publish_release(tmp_path, "rejected")
    with pytest.raises(RefusedError):
        approve(edit_manifest(rejected, '"rejected"', '"passed"'), "Dana", NOON)


@pytest.mark.parametrize("by", ["", "  ", "a\nb", "a\u202eb", "\x00", "x" * 129])
def test_an_approval_needs_a_name(release: Release, by: str) -> None:
    with pytest.raises(ConfigError, match="who approves"):
        approve(release, by, NOON)
    assert find_approvals(release) == []


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl", "checks.json"])
@pytest.mark.parametrize("harm", [lambda p: p.write_text("other\n"), Path.unlink])
def test_a_release_with_a_changed_file_is_not_approved(
    release: Release, name: str, harm: Callable[[Path], object]
) -> None:
    harm(Path(release.uri, name))
    with pytest.raises(IntegrityError, match=name):
        approve(release, "Dana", NOON)
    assert find_approvals(release) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"template"', '"tempest"'),
        ('"validation": 0.1', '"validation": 0.2'),
        ('"recipe_digest": "', '"recipe_digest": "0'),
        ('"digest": "', '"digest": "0'),
        ('"sha256": "', '"sha256": "0'),
        ('"files"', '"piles"'),
    ],
)
def test_a_release_that_does_not_fit_its_digest_is_not_approved(
    release: Release, old: str, new: str
) -> None:
    with pytest.raises(IntegrityError, match=r"manifest\.json|do not fit"):
        approve(edit_manifest(release, old, new), "Dana", NOON)


@pytest.mark.parametrize("text", ['{"digest":"another"}', "{}", "no JSON", '{"digest":1}', "[]"])
def test_what_is_not_an_approval_stops_everything(release: Release, text: str) -> None:
    approve(release, "Dana", NOON)
    (path,) = approval_paths(release)
    path.write_text(text)
    with pytest.raises(IntegrityError, match="is not an approval"):
        find_approvals(release)
    with pytest.raises(IntegrityError):
        approve(release, "Dana", NOON)
    assert path.read_text() == text


def test_any_changed_byte_of_an_approval_is_an_integrity_error(release: Release) -> None:
    approve(release, "Dana", NOON)
    (path,) = approval_paths(release)
    whole = path.read_bytes()
    for place in range(len(whole) - 1):  # the last byte is the end of the line
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x04]) + whole[place + 1 :])
        with pytest.raises(IntegrityError, match=r"approv|changed"):
            find_approvals(release)


@pytest.mark.parametrize("change", ["by", "at", "manifest", "folder", "extra"])
def test_an_approval_that_was_written_by_hand_is_none(release: Release, change: str) -> None:
    """Even with a checksum that fits."""
    approve(release, "Dana", NOON)
    (path,) = approval_paths(release)
    record = json.loads(path.read_text())
    record |= {change: "0" * 64} if change in ("manifest", "extra") else {}
    if change in ("by", "at"):
        del record[change]
    record["checksum"] = ""
    payload = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    record["checksum"] = sha256(payload).hexdigest()
    path.write_text(json.dumps(record))
    if change == "folder":
        path.rename(path.with_name("000000000000.json"))
    with pytest.raises(IntegrityError):
        find_approvals(release)


def test_a_release_under_another_name_is_none(release: Release) -> None:
    for folder in (f"{release.id[:-1]}g", f"2026-11-02-{release.id[-12:]}"):
        path = Path(release.uri).rename(Path(release.uri).with_name(folder))
        with pytest.raises(IntegrityError, match="do not match each other"):
            open_release(str(path))
        path.rename(release.uri)
