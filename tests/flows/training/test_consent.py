"""What is changed after the approval is not trained on, whatever it is and however it is forged."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import msgspec
import pytest
from support.command_line import TRAIN
from support.protocols import RunSluice, WriteRecipe

from bedrock_sluice.lake.releases.manifest import FileFacts
from bedrock_sluice.lake.releases.release import open_release, release_digest
from bedrock_sluice.transforms.errors import IntegrityError

Json = dict[str, Any]
Edit = Callable[[Path, Path], object]


@pytest.fixture
def approved_release(sums: Path, recipe: WriteRecipe, sluice: RunSluice) -> str:
    """An approved release over 150 sums, whose job could be started."""
    assert sums.exists()
    uri: str = sluice("build", recipe(TRAIN)).out.strip()
    assert sluice("approve", uri, "--by", "Dana").code == 0
    assert sluice("train", uri, "--dry-run").code == 0
    return uri


def change_json(path: Path, change: Callable[[Json], object]) -> None:
    """Rewrite a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def append(name: str) -> Edit:
    def edit(release: Path, _approval: Path) -> None:
        path = release / name
        path.write_bytes(path.read_bytes() + b"\n")

    return edit


def manifest(key: str, value: object) -> Edit:
    return lambda release, _: change_json(
        release / "manifest.json", lambda m: m.update({key: value})
    )


def approval(change: Callable[[Json], object]) -> Edit:
    return lambda _, path: change_json(path, change)


def forge(release: Path, approval: Path) -> None:
    """Other lines, with a digest and an approval that fit them; the id keeps the old digest."""
    lines = release / "train.jsonl"
    lines.write_bytes(lines.read_bytes() + lines.read_bytes().splitlines(keepends=True)[0])
    facts = json.loads((release / "manifest.json").read_text())
    content = lines.read_bytes()
    facts["files"]["train.jsonl"] = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    files = msgspec.convert(facts["files"], dict[str, FileFacts])
    facts["digest"] = release_digest(facts["recipe_digest"], files)
    (release / "manifest.json").write_text(json.dumps(facts))
    record = json.loads(approval.read_text()) | {"digest": facts["digest"], "checksum": ""}
    record["manifest_sha256"] = sha256((release / "manifest.json").read_bytes()).hexdigest()
    payload = json.dumps(record, separators=(",", ":")).encode()
    record["checksum"] = sha256(payload).hexdigest()
    approval.write_text(json.dumps(record, separators=(",", ":")) + "\n")


EDITS: dict[str, Edit] = {
    "report": append("report.html"),
    "fates": append("fates.parquet"),
    "validation": append("validation.jsonl"),
    "provenance": append("provenance.parquet"),
    "checks": append("checks.json"),
    **{key: manifest(key, {}) for key in ("counts", "inputs", "stages", "versions")},
    **{
        key: manifest(key, None)
        for key in ("leakage", "trained_before", "parent", "schema_version")
    },
    "bytes of validation": lambda release, _: change_json(
        release / "manifest.json", lambda m: m["files"]["validation.jsonl"].update(bytes=0)
    ),
    "no validation": lambda release, _: change_json(
        release / "manifest.json", lambda m: m["files"].pop("validation.jsonl")
    ),
    "approved by nobody": approval(lambda record: record.pop("by")),
    "approved at no time": approval(lambda record: record.pop("at")),
    "approved by another": approval(lambda record: record.update(by="Eve")),
    "approved at another time": approval(lambda record: record.update(at="2026-01-01T00:00:00Z")),
    "approval of another release": approval(lambda record: record.update(release="x")),
    "damaged approval": lambda _, path: path.write_bytes(b"\xff" + path.read_bytes()),
    "damaged manifest": lambda release, _: (release / "manifest.json").write_bytes(b"\xff{}"),
    "all forged together": forge,
}


def test_no_edit_after_the_approval_is_trained_on(approved_release: str, sluice: RunSluice) -> None:
    release = Path(approved_release)
    (path,) = (release.parents[2] / "decisions/sums").iterdir()
    kept = {each: each.read_bytes() for each in (*release.iterdir(), path)}
    for name, edit in EDITS.items():
        edit(release, path)
        result = sluice("train", approved_release, "--dry-run")
        assert (name, result.code, result.out) == (name, 1, "")
        assert "bug in Sluice" not in result.err, name
        for each, content in kept.items():
            each.write_bytes(content)
    assert sluice("train", approved_release, "--dry-run").code == 0


def test_a_torn_copy_of_the_lines_is_never_handed_on(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice, bucket: str
) -> None:
    assert sums.exists()
    uri = sluice("build", recipe(TRAIN, {'"lake"': f'"s3://{bucket}/lake"'})).out.strip()
    sluice("approve", uri, "--by", "Dana")
    release = open_release(uri)
    whole = release.file("train.jsonl").read_bytes()
    copies = [p for p in Path(gettempdir()).glob("sluice-cache-*/*") if p.read_bytes() == whole]
    assert copies
    for copy in copies:
        copy.write_bytes(whole[:2_000])  # as a crash before it was on disk leaves it
    assert release.file("train.jsonl").read_bytes() == whole
    for copy in copies:
        copy.write_bytes(whole.swapcase())  # the size is right
    with pytest.raises(IntegrityError, match=r"delete the copy .*sluice-cache"):
        release.file("train.jsonl")
    result = sluice("train", uri, "--dry-run")
    assert (result.code, result.out) == (1, "")
