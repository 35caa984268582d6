"""What `[approval]` asks for before a release can be trained on, through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import TRAIN
from support.decisions import publish_small
from support.html import Page
from support.protocols import RunSluice, WriteRecipe
from support.releases import NOON, approve

from bedrock_sluice.flows.decisions import requirements
from bedrock_sluice.flows.decisions.decisions import decide
from bedrock_sluice.flows.decisions.requirements import is_approved, unmet_requirements
from bedrock_sluice.flows.recipe.approval_section import ApprovalSection
from bedrock_sluice.flows.review.history import read_history
from bedrock_sluice.flows.review.report import report_of
from bedrock_sluice.lake.releases.release import REPORT, open_release
from bedrock_sluice.transforms.review.figures import ErrorEstimate, ReviewFigures

ROLES = '[approval]\nroles = ["legal", "domain"]\nmin_approvers = 2\n'

Build = Callable[[str], str]


def judge(right: int, wrong: int, high: float) -> ReviewFigures:
    """Return figures of a review of a random sample, whose interval ends at `high`."""
    error = ErrorEstimate(
        sample_size=300, right=right, wrong=wrong, unsure=0, rate=0.0, low=0.0, high=high
    )
    return ReviewFigures(
        release="",
        lines=right + wrong,
        reviewers=[],
        error=error,
        agreement=[],
        disputed_lines=0,
        disputed_ids=[],
    )


@pytest.fixture
def build(sums: Path, recipe: WriteRecipe, sluice: RunSluice) -> Build:
    """Build a release over 150 sums whose job could be started; returns its URI."""
    assert sums.exists()
    return lambda more: sluice("build", recipe(TRAIN + more)).out.strip()


def test_the_section_changes_neither_the_release_nor_its_id(build: Build) -> None:
    release = build("")
    manifest = Path(release, "manifest.json").read_bytes()
    assert build(ROLES) == release
    assert Path(release, "manifest.json").read_bytes() == manifest


def test_train_says_which_role_and_how_many_people_are_missing(
    build: Build, sluice: RunSluice
) -> None:
    release = build(ROLES)
    refusal = sluice("train", release)
    assert (refusal.code, refusal.out) == (1, "")
    assert "nobody approved it in the role legal, domain; 0 of 2 people approved it" in refusal.err
    assert f"sluice approve {release} --by NAME --role legal" in refusal.err
    err = sluice("approve", release, "--by", "Dana", "--role", "leagl").err
    assert "the recipe asks for approvals in the role legal, domain" in err
    sluice("approve", release, "--by", "Dana", "--role", "legal")
    sluice("approve", release, "--by", " DANA", "--role", "domain")  # the same person
    refusal = sluice("train", release)
    assert "is not approved: 1 of 2 people approved it. Read" in refusal.err
    result = sluice("approve", release, "--by", "Eve", "--role", "domain", "--json")
    assert json.loads(result.out)["still_needed"] == []
    assert "is not approved" not in sluice("train", release, "--dry-run").err


def test_a_decline_stops_training_until_the_same_person_approves_in_that_role(
    build: Build, sluice: RunSluice
) -> None:
    release = build("")
    sluice("approve", release, "--by", "Dana")
    assert "is not approved" not in sluice("train", release, "--dry-run").err
    err = sluice("decline", release, "--by", "Kim", "--role", "legal", "--note", "tenant 7").err
    assert "declined by Kim (legal), " in err
    assert "tenant 7\n" in err
    for arguments in (("Dana",), ("Eve", "--role", "legal"), ("Kim",), ("Kim", "--role", "domain")):
        sluice("approve", release, "--by", *arguments)
        refusal = sluice("train", release)
        assert refusal.code == 1
        assert "Kim (legal) declined it, and has not approved it since" in refusal.err
        assert "tenant 7" not in refusal.err
    sluice("approve", release, "--by", "Kim", "--role", "legal")
    assert "is not approved" not in sluice("train", release, "--dry-run").err


def test_what_the_release_or_the_current_recipe_asks_for_is_needed(
    build: Build, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    release = build('[approval]\nroles = ["legal"]\n')
    sluice("approve", release, "--by", "Dana", "--role", "legal")
    assert "is not approved" not in sluice("train", release, "--dry-run").err
    stricter = recipe(f'{TRAIN}[approval]\nroles = ["domain"]\n', name="now.toml")
    refusal = sluice("train", release, "--recipe", stricter)
    assert "nobody approved it in the role domain." in refusal.err
    sluice("approve", release, "--by", "Eve", "--role", "domain")
    assert "is not approved" not in sluice("train", release, "--dry-run", "--recipe", stricter).err
    sluice("decline", release, "--by", "Dana", "--role", "legal")
    assert sluice("train", release, "--recipe", recipe(TRAIN, name="x.toml")).code == 1


def test_two_sections_combine_to_the_stricter_one() -> None:
    one = ApprovalSection(roles=("a", "b"), min_reviewed_lines=9, allow_override=True)
    other = ApprovalSection(
        roles=("b", "c"), min_approvers=3, min_reviewed_lines=5, max_error_rate=0.0
    )
    expected = ApprovalSection(
        roles=("a", "b", "c"), min_approvers=3, min_reviewed_lines=9, max_error_rate=0.0
    )
    assert one.combine(other) == other.combine(one).model_copy(update={"roles": ("a", "b", "c")})
    assert one.combine(other) == expected


def test_a_rejected_release_needs_an_override_and_a_recipe_that_allows_it(
    build: Build, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    rules = "[split]\nmax_lines = 99\n[approval]\nallow_override = "
    release = build(f"{rules}true\n")
    assert sluice("approve", release, "--by", "Dana").code == 1
    reason = "a trial\x1b[2J"
    assert sluice("approve", release, "--by", "Dana", "--override", reason).code == 2
    result = sluice("approve", release, "--by", "Dana", "--override", "a [red]trial[/] of 99")
    assert "approved by Dana, " in result.err
    assert "; overrides the gate: a [red]trial[/] of 99\n" in result.err
    assert "is not approved" not in sluice("train", release, "--dry-run").err
    now = recipe(f"{TRAIN}{rules}false\n", name="now.toml")
    refusal = sluice("train", release, "--recipe", now)
    assert (refusal.code, "allow_override = true" in refusal.err) == (1, True)


def test_by_default_no_override_opens_the_way_to_training(build: Build, sluice: RunSluice) -> None:
    release = build("[split]\nmax_lines = 99\n")
    err = sluice("approve", release, "--by", "Dana", "--override", "a trial").err
    assert "still needed before training: the gate rejected it" in err
    refusal = sluice("train", release)
    assert (refusal.code, "rejected by the gate" in refusal.err) == (1, True)
    assert not is_approved(open_release(release), ApprovalSection())


def test_the_report_of_the_next_release_shows_the_overrides_of_the_one_before(
    build: Build, sluice: RunSluice
) -> None:
    before = build("[split]\nmax_lines = 99\n")
    sluice("approve", before, "--by", "Dana", "--override", "a trial <i>of</i> 99")
    after = open_release(build(""))
    assert after.manifest.parent == open_release(before).id
    for page in (after.file(REPORT).read_text(), report_of(after)):
        text = Page(page).text
        assert f"{after.manifest.parent}, the release before, was rejected by the gate." in text
        assert "Approved nevertheless by Dana, " in text
        assert "overrides the gate: a trial <i>of</i> 99" in text
    assert after.manifest.decisions is not None
    assert "nevertheless" not in report_of(open_release(before))
    (state, *_) = read_history(after.lake, after.name)[1:]
    assert state.id == after.manifest.parent
    assert state.decisions[0].endswith(", overriding the gate")


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (None, "no review of its lines was applied"),
        (judge(19, 0, 0.02), "19 of 20 lines of the random sample were judged"),
        (judge(20, 0, 0.15), "up to 15.0% of the lines may"),
        (judge(198, 2, 0.05), None),
    ],
)
def test_a_review_of_lines_is_needed_if_the_recipe_asks_for_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: ReviewFigures | None,
    message: str | None,
) -> None:
    release = publish_small(tmp_path)
    approve(release, "Dana", NOON)
    monkeypatch.setattr(requirements, "review_figures", lambda *_: figures)
    needs = unmet_requirements(release, ApprovalSection(min_reviewed_lines=20, max_error_rate=0.05))
    assert len(needs) == (message is not None)
    assert message is None or message in needs[0]
    assert unmet_requirements(release, ApprovalSection()) == []


@pytest.mark.parametrize(("wrong", "is_enough"), [(0, True), (10, False)])
def test_an_applied_review_decides_whether_training_may_start(
    build: Build, sluice: RunSluice, tmp_path: Path, wrong: int, *, is_enough: bool
) -> None:
    release = build("[approval]\nmin_reviewed_lines = 40\nmax_error_rate = 0.1\n")
    sluice("approve", release, "--by", "Dana")
    refusal = sluice("train", release)
    assert (refusal.code, "no review of its lines was applied" in refusal.err) == (1, True)
    published_release = open_release(release)
    texts = published_release.file("train.jsonl").read_text().splitlines()
    ids = sorted(json.loads(text)["id"] for text in texts)
    verdicts = {name: {"verdict": "wrong" if k < wrong else "right"} for k, name in enumerate(ids)}
    manifest = published_release.manifest
    content = {
        "schema_version": 1,
        "release": {"name": manifest.name, "id": manifest.id, "digest": manifest.digest},
        "sheet": {"lines": 0, "sample": 500, "seed": 0},  # the sample has all lines
        "reviewer": "ann",
        "saved_at": "2026-10-02T10:00:00Z",
        "lines": verdicts,
    }
    file = tmp_path / "ann.json"
    file.write_text(json.dumps(content))
    assert sluice("review", "apply", file, "--lake", published_release.lake.uri).code == 0
    needs = json.loads(sluice("approve", release, "--by", "Dana", "--json").out)["still_needed"]
    assert (needs == []) == is_enough
    assert is_enough or "more than max_error_rate = 0.1" in sluice("train", release).err
    assert ("is not approved" not in sluice("train", release, "--dry-run").err) == is_enough


def test_verify_prints_what_is_right_and_what_is_not(build: Build, sluice: RunSluice) -> None:
    release = build("")
    decide(open_release(release), "approved", by="Dana [red]", at=NOON)
    result = sluice("verify", release)
    assert (result.code, result.err.count("ok ")) == (0, 9)
    assert "decisions: 1 about this release; 1 numbered records of sums" in result.err
    Path(release, "report.html").write_text("<p>")
    Path(release, "../../../decisions/sums/000001.json").rename(
        Path(release, "../../../decisions/sums/000002.json")
    )
    result = sluice("verify", release, "--json")
    results = {each["subject"]: each for each in json.loads(result.out)}
    assert (result.code, {k for k, v in results.items() if not v["ok"]}) == (
        1,
        {"report.html", "decisions"},
    )
    assert "000001.json: missing" in results["decisions"]["message"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('roles = ["legal", "legal"]', "names a role twice"),
        ('roles = [" "]', "must be 1 to 64 printable characters"),
        ("min_approvers = 0", "min_approvers"),
        ("max_error_rate = 2.0", "max_error_rate"),
        ("rolls = []", "did you mean `roles`?"),
    ],
)
def test_a_wrong_section_is_refused(
    recipe: WriteRecipe, sluice: RunSluice, section: str, message: str
) -> None:
    result = sluice("validate", recipe(f"[approval]\n{section}\n"))
    assert (result.code, message in result.err) == (2, True)
