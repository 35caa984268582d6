"""Approving a release: who may, what it is bound to, and that the first approval stands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from bedrock_sluice.flows.approval import approve, find_approval
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases import (
    Release,
    approval_key,
    file_digests,
    open_release,
    publish,
    release_digest,
)
from bedrock_sluice.lake.store import open_store
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
CHECK = {"name": "enough_lines", "says": "there are enough lines", "severity": "fail"}


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A small release that passed, in a lake on disk."""
    return publish_release(tmp_path, "passed")


def publish_release(folder: Path, verdict: str) -> Release:
    lake = str(folder / "lake")
    recipe = Recipe.model_validate(
        {"name": "math", "lake": lake, "source": {"uri": "logs"}, "template": {"name": "math"}}
    )
    checks = json.dumps([{**CHECK, "passed": verdict == "passed"}])
    texts = {"train.jsonl": '{"id":"a"}\n', "validation.jsonl": "", "checks.json": checks}
    files = {name: folder / name for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    told, recipe_digest = file_digests(files), recipe.digest()
    digest = release_digest(recipe_digest, told)
    manifest = {
        "name": "math",
        "id": f"2026-11-01-{digest[:12]}",
        "digest": digest,
        "recipe": recipe.written(),
        "recipe_digest": recipe_digest,
        "files": told,
        "verdict": verdict,
    }
    publish(open_store(lake), manifest, files)
    return open_release(f"{lake}/releases/math/{manifest['id']}")


def edit_manifest(release: Release, old: str, new: str) -> Release:
    path = Path(release.uri, "manifest.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return open_release(release.uri)


def approval_path(release: Release) -> Path:
    return Path(release.lake.uri, approval_key(release))


def test_an_approval_says_who_when_and_of_what(release: Release) -> None:
    at = datetime(2026, 11, 2, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    record = approve(release, "  Dana Reviewer ", at)
    assert record == {
        "release": release.id,
        "name": "math",
        "digest": release.manifest["digest"],
        "by": "Dana Reviewer",
        "at": "2026-11-02T12:30:00+00:00",
    }
    assert find_approval(release) == record
    written = approval_path(release).read_text()
    assert written == json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"


def test_nothing_is_approved_before_somebody_approves(release: Release) -> None:
    assert find_approval(release) is None


def test_the_first_approval_stands(release: Release) -> None:
    first = approve(release, "Dana", NOON)
    assert approve(release, "Eve", NOON + timedelta(days=1)) == first
    assert find_approval(release) == first


def test_a_rejected_release_is_not_approved(tmp_path: Path) -> None:
    rejected = publish_release(tmp_path, "rejected")
    with pytest.raises(RefusedError, match="rejected by the gate") as refusal:
        approve(rejected, "Dana", NOON)
    assert refusal.value.exit_code == 1
    assert find_approval(rejected) is None


def test_a_verdict_written_over_by_hand_changes_nothing(tmp_path: Path) -> None:
    rejected = publish_release(tmp_path, "rejected")
    with pytest.raises(RefusedError):
        approve(edit_manifest(rejected, '"rejected"', '"passed"'), "Dana", NOON)


@pytest.mark.parametrize("by", ["", "  ", "a\nb", "a\u202eb", "\x00", "x" * 129])
def test_an_approval_needs_a_name(release: Release, by: str) -> None:
    with pytest.raises(ConfigError, match="who approves"):
        approve(release, by, NOON)
    assert find_approval(release) is None


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl", "checks.json"])
@pytest.mark.parametrize("harm", [lambda p: p.write_text("other\n"), Path.unlink])
def test_a_release_with_a_changed_file_is_not_approved(
    release: Release, name: str, harm: Callable[[Path], object]
) -> None:
    harm(Path(release.uri, name))
    with pytest.raises(IntegrityError, match=name):
        approve(release, "Dana", NOON)
    assert find_approval(release) is None


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
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        approve(edit_manifest(release, old, new), "Dana", NOON)


@pytest.mark.parametrize("text", ['{"digest":"another"}', "{}", "no JSON", '{"digest":1}', "[]"])
def test_an_approval_of_something_else_is_no_approval(release: Release, text: str) -> None:
    approval_path(release).parent.mkdir(parents=True)
    approval_path(release).write_text(text)
    with pytest.raises(IntegrityError, match="approv"):
        find_approval(release)
    with pytest.raises(IntegrityError):
        approve(release, "Dana", NOON)
    assert approval_path(release).read_text() == text
