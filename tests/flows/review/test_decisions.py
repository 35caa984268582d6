"""Decisions about releases: what they are bound to, and that nobody changes them unnoticed."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from support.decisions import publish_small, record_paths, write_record
from support.releases import NOON, approve

from bedrock_sluice.flows.decisions.decisions import decide, find_decisions
from bedrock_sluice.lake.releases.approvals_v1 import ApprovalV1, approvals_folder
from bedrock_sluice.lake.releases.decisions import read_decisions
from bedrock_sluice.lake.releases.release import Release, open_release
from bedrock_sluice.transforms.errors import ConfigError, IntegrityError, RefusedError

Harm = Callable[[list[Path]], object]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A small release that passed, in a lake on disk."""
    return publish_small(tmp_path)


def edit_manifest(release: Release, old: str, new: str) -> Release:
    path = Path(release.uri, "manifest.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return open_release(release.uri)


def test_a_decision_says_who_when_why_and_of_what(release: Release) -> None:
    at = datetime(2026, 11, 2, 14, 30, tzinfo=timezone(timedelta(hours=2)))
    decision = decide(
        release, "approved", by="  Dana Reviewer ", role="legal", note="all read", at=at
    )
    manifest = Path(release.uri, "manifest.json").read_bytes()
    assert find_decisions(release) == [decision]
    (path,) = record_paths(release)
    record = json.loads(path.read_text())
    assert (path.name, len(record.pop("checksum"))) == ("000001.json", 64)
    assert record == {
        "schema_version": 1,
        "number": 1,
        "verdict": "approved",
        "name": "math",
        "release": release.id,
        "digest": release.manifest.digest,
        "manifest_sha256": sha256(manifest).hexdigest(),
        "by": "Dana Reviewer",
        "role": "legal",
        "note": "all read",
        "override": None,
        "at": "2026-11-02T12:30:00Z",
        "previous_sha256": None,
    }


def test_the_same_decision_is_recorded_once_and_another_one_follows(release: Release) -> None:
    dana = approve(release, "Dana")
    eve = approve(release, "Eve", NOON + timedelta(days=1))
    assert approve(release, "dana ", NOON + timedelta(days=2)) == dana
    decline = decide(release, "declined", by="Dana", at=NOON)
    again = approve(release, "Dana", NOON)
    assert find_decisions(release) == [dana, eve, decline, again]
    assert [each.number for each in find_decisions(release)] == [1, 2, 3, 4]


def test_a_rejected_release_is_only_approved_with_a_reason(tmp_path: Path) -> None:
    release = publish_small(tmp_path, "rejected")
    with pytest.raises(RefusedError, match="rejected by the gate"):
        approve(release, "Dana")
    with pytest.raises(RefusedError):  # the checks are in the digest, the verdict is not
        approve(edit_manifest(release, '"rejected"', '"passed"'), "Dana")
    release = edit_manifest(release, '"passed"', '"rejected"')
    decide(release, "declined", by="Eve", at=NOON)
    decide(release, "approved", by="Dana", override="a trial of 1 line", at=NOON)
    assert [each.override for each in find_decisions(release)] == [None, "a trial of 1 line"]


def test_a_release_that_passed_needs_no_override(release: Release) -> None:
    with pytest.raises(ConfigError, match="leave out --override"):
        decide(release, "approved", by="Dana", override="why not", at=NOON)


@pytest.mark.parametrize("field", ["by", "role", "note", "override"])
@pytest.mark.parametrize(
    "text", ["", "  ", "a\nb", "a\u202eb", "a\u200bb", "\x1b[2J", "\x00", "x" * 2_001]
)
def test_texts_are_one_line_that_prints(release: Release, field: str, text: str) -> None:
    texts = {"by": "Dana", field: text}
    with pytest.raises(ConfigError, match=f"--{field} must be 1 to"):
        decide(release, "approved", at=NOON, **texts)
    assert find_decisions(release) == []


@pytest.mark.parametrize("name", ["train.jsonl", "validation.jsonl", "checks.json"])
@pytest.mark.parametrize("harm", [lambda p: p.write_text("other\n"), Path.unlink])
def test_a_release_with_a_changed_file_is_not_decided_on(
    release: Release, name: str, harm: Callable[[Path], object]
) -> None:
    harm(Path(release.uri, name))
    with pytest.raises(IntegrityError, match=name):
        approve(release, "Dana")
    assert find_decisions(release) == []


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
        approve(edit_manifest(release, old, new), "Dana")


def test_a_release_that_was_changed_after_the_decision_is_noticed(release: Release) -> None:
    approve(release, "Dana")
    edited_release = edit_manifest(release, '"delivered_later": 0', '"delivered_later": 1')
    with pytest.raises(IntegrityError, match="is about other content"):
        find_decisions(edited_release)


# --- the chain


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


CHAIN_HARMS: dict[str, tuple[Harm, str]] = {
    "first one removed": (lambda p: p[0].unlink(), r"000001\.json: missing"),
    "one removed": (lambda p: p[1].unlink(), r"000002\.json: missing"),
    "one removed, the others renamed": (
        lambda p: p[2].replace(p[1]),
        r"000002\.json: holds decision 3",
    ),
    "one removed, the others numbered anew": (
        lambda p: write_record(p[2].replace(p[1]), number=2),
        r"000001\.json: not the record that 000002\.json follows",
    ),
    "two swapped": (lambda p: swap(p[1], p[2]), r"000002\.json: holds decision 3"),
    "one edited": (
        lambda p: p[1].write_text(p[1].read_text().replace("Eve", "Eva")),
        r"000002\.json: changed after it was written",
    ),
    "one edited with a checksum that fits": (
        lambda p: write_record(p[1], by="Eva"),
        r"000002\.json: not the record that 000003\.json follows",
    ),
    "other spaces": (
        lambda p: p[2].write_text(p[2].read_text().replace(",", ", ", 1)),
        r"000003\.json: changed after it was written",
    ),
    "a hostile name": (lambda p: write_record(p[2], by="\x1b[2J"), r"000003\.json: changed"),
    "another dataset's": (lambda p: write_record(p[2], name="sums"), r"000003\.json: holds"),
    "not JSON": (lambda p: p[0].write_text("[" * 100_000), r"000001\.json: not a decision"),
    "a file beside them": (lambda p: Path(p[0].parent, "x.json").touch(), "x.json: not a decision"),
}


@pytest.mark.parametrize("case", CHAIN_HARMS)
def test_whatever_is_done_to_a_record_names_that_record(release: Release, case: str) -> None:
    for name in ("Dana", "Eve", "Kim"):
        approve(release, name)
    harm, message = CHAIN_HARMS[case]
    harm(record_paths(release))
    with pytest.raises(IntegrityError, match=message) as error:
        find_decisions(release)
    with pytest.raises(IntegrityError, match=message):
        approve(release, "Lee")
    assert str(error.value).isprintable()


def test_any_changed_byte_of_a_record_is_noticed(release: Release) -> None:
    approve(release, "Dana")
    (path,) = record_paths(release)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x04]) + content[place + 1 :])
        with pytest.raises(IntegrityError, match=r"000001\.json: (changed|not a|holds)"):
            find_decisions(release)


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: write_record(path, by="Eva")])
def test_a_later_build_makes_the_last_record_permanent(
    sums: Path, sluice: Callable[..., object], harm: Callable[[Path], object]
) -> None:
    sluice("build", sums)
    (manifest,) = sums.parent.glob("lake/releases/*/*/manifest.json")
    first = open_release(str(manifest.parent))
    approve(first, "Dana")
    decide(first, "declined", by="Eve", at=NOON)
    sluice("build", sums, "--until", "2026-10-03")
    path = record_paths(first)[-1]
    harm(path)
    with pytest.raises(IntegrityError, match=r"000002\.json: (missing|not the record)"):
        find_decisions(first)


def test_the_records_of_all_releases_of_a_name_are_one_chain(tmp_path: Path) -> None:
    first, second = (publish_small(tmp_path, line=line) for line in "ab")
    approve(first, "Dana")
    approve(second, "Dana")
    assert [each.number for each in find_decisions(second)] == [2]
    record_paths(first)[0].unlink()
    with pytest.raises(IntegrityError, match=r"000001\.json: missing"):
        find_decisions(second)


# --- several people at once


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_people_who_decide_at_once_are_all_recorded(
    tmp_path: Path, request: pytest.FixtureRequest, place: str
) -> None:
    lake = f"s3://{request.getfixturevalue('bucket')}/lake" if place == "bucket" else ""
    release = publish_small(tmp_path, lake=lake)
    names = [f"Person {number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        decisions = list(pool.map(lambda name: approve(open_release(release.uri), name), names))
    records = read_decisions(release.lake, "math")
    assert sorted(each.by for each in records) == names
    assert sorted(each.number for each in decisions) == list(range(1, 9))
    with ThreadPoolExecutor(len(names)) as pool:  # one person, eight times at once
        again = list(pool.map(lambda _: approve(open_release(release.uri), "Kim"), names))
    assert {each.number for each in again} == {9}


# --- approvals of the version before


def write_old_approval(release: Release, by: str) -> Path:
    """Write an approval as Sluice did before decisions had numbers."""
    approval = ApprovalV1(
        release=release.id,
        name=release.name,
        digest=release.manifest.digest,
        manifest=release.manifest_sha256,
        by=by,
        at=NOON - timedelta(days=1),
    )
    checksum = sha256(msgspec.json.encode(approval, order="deterministic")).hexdigest()
    name = f"{sha256(by.encode()).hexdigest()[:12]}.json"
    path = Path(release.lake.uri, approvals_folder(release), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = msgspec.structs.replace(approval, checksum=checksum)
    path.write_bytes(msgspec.json.encode(content, order="deterministic") + b"\n")
    return path


def test_approvals_of_the_version_before_still_count(release: Release) -> None:
    write_old_approval(release, "Dana")
    (old,) = find_decisions(release)
    assert (old.by, old.verdict, old.number, old.role) == ("Dana", "approved", 0, None)
    assert approve(release, "Dana") == old
    decline = decide(release, "declined", by="Dana", at=NOON)
    assert find_decisions(release) == [old, decline]


@pytest.mark.parametrize(
    ("old", "new"), [("Dana", "Dora"), ('"at":"2026', '"at":"2025'), ("{", "["), ("11-01", "11-09")]
)
def test_a_changed_approval_of_the_version_before_is_noticed(
    release: Release, old: str, new: str
) -> None:
    path = write_old_approval(release, "Dana")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(IntegrityError, match=path.name):
        find_decisions(release)


def test_an_old_approval_of_other_content_is_noticed(release: Release) -> None:
    write_old_approval(release, "Dana")
    edited_release = edit_manifest(release, '"delivered_later": 0', '"delivered_later": 1')
    with pytest.raises(IntegrityError, match="other content"):
        find_decisions(edited_release)


def test_a_release_under_another_name_is_none(release: Release) -> None:
    for folder in (f"{release.id[:-1]}g", f"2026-11-02-{release.id[-12:]}"):
        path = Path(release.uri).rename(Path(release.uri).with_name(folder))
        with pytest.raises(IntegrityError, match="do not match each other"):
            open_release(str(path))
        path.rename(release.uri)
