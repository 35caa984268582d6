"""`sluice review`: lines judged in a browser by keyboard, applied, and used by the next build."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.browser import PHONE, Browser, Visit
from support.builds import without_checks
from support.hostile_texts import HOSTILE_TEXTS
from support.html import Page
from support.logs import NOON, make_record
from support.protocols import RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.review.report import report_of
from bedrock_sluice.lake.releases.release import open_release
from bedrock_sluice.transforms.review.figures import error_interval

Json = dict[str, Any]

WRONG, REJECTED, RIGHT, UNSURE = 8, 4, 6, 2  # of the 20 lines that are judged


def build(sluice: RunSluice, recipe: Path) -> Path:
    with without_checks():
        result = sluice("build", recipe, "--json")
    return Path(json.loads(result.out)["release"])


def write_sheet(sluice: RunSluice, release: Path, *options: object) -> Path:
    path = release.parents[3] / "sheet.html"
    result = sluice("review", "sheet", release, "--out", path, *options)
    assert result.code == 0, result.err
    return path


def read_answers(release: Path) -> dict[str, str]:
    """The final answer of each line, by id."""
    texts = [(release / f"{side}.jsonl").read_text() for side in ("train", "validation")]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    return {line["id"]: line["reference_answer"]["final_answer"] for line in lines}


def current_id(visit: Visit) -> str:
    return str(visit.page.get_attribute("article.current", "data-id"))


def save(visit: Visit, folder: Path) -> Path:
    with visit.page.expect_download() as download:
        visit.page.keyboard.press("s")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def judge_twenty(visit: Visit) -> dict[str, str]:
    """Judge 20 lines by keyboard alone; return what was done about each."""
    keys = visit.page.keyboard
    actions = {}
    for number in range(WRONG + REJECTED + RIGHT + UNSURE):
        line_id = current_id(visit)
        if number < WRONG:
            keys.press("e")
            keys.press("Control+a")
            keys.type(f"{9000 + number}")
            keys.press("Escape")
            actions[line_id] = f"{9000 + number}"
        elif number < WRONG + REJECTED:
            keys.press("2" if number % 2 else "w")
            actions[line_id] = "rejected"
        elif number < WRONG + REJECTED + RIGHT:
            keys.press("1" if number % 2 else "r")
            actions[line_id] = "right"
        else:
            keys.press("u")
            keys.press("c")
            keys.type("which unit?")
            keys.press("Escape")
            actions[line_id] = "unsure"
        keys.press("j")
    return actions


def test_twenty_lines_judged_by_keyboard_decide_about_the_next_release(
    sums: Path, sluice: RunSluice, browser: Browser, tmp_path: Path
) -> None:
    before = build(sluice, sums)
    sheet = write_sheet(sluice, before, "--lines", 5, "--sample", 40)
    with browser.open(sheet) as visit:
        visit.page.keyboard.press("s")  # without a name, the name is asked for
        visit.page.keyboard.type("R. Viewer")
        visit.page.keyboard.press("Escape")
        actions = judge_twenty(visit)
        assert "20 of" in visit.page.inner_text("#count")
        visit.page.reload()  # nothing is lost
        visit.page.wait_for_function(
            "document.getElementById('count').textContent.startsWith('20 of')"
        )
        file = save(visit, tmp_path)
        assert visit.console == visit.requests == []
        assert visit.active_nodes(scripts=1) == visit.violations() == []

    result = sluice("review", "apply", file, "--recipe", sums, "--json")
    assert result.code == 0, result.err
    output = json.loads(result.out)
    (review,), (figures,) = output["reviews"], output["releases"]
    assert (review["lines"], review["is_new"]) == (20, True)
    (reviewer,) = figures["reviewers"]
    numbers = [reviewer[name] for name in ("right", "wrong", "unsure", "corrections")]
    assert numbers == [RIGHT, WRONG + REJECTED, UNSURE, WRONG]
    again = json.loads(sluice("review", "apply", file, "--recipe", sums, "--json").out)
    assert again["reviews"][0]["is_new"] is False
    assert again["releases"] == output["releases"]

    page = Page(report_of(open_release(str(before))))
    assert "Lines judged by reviewers" in page.text
    assert "R. Viewer" in page.text
    assert "Clopper-Pearson" in page.text

    after = build(sluice, sums)
    answers, old_answers = read_answers(after), read_answers(before)
    corrections = {k: v for k, v in actions.items() if v.isdecimal()}
    rejected_ids = {k for k, v in actions.items() if v == "rejected"}
    assert {line_id: answers[line_id] for line_id in corrections} == corrections
    assert old_answers.keys() - answers.keys() == rejected_ids
    assert {k: answers[k] for k in answers.keys() - corrections} == {
        k: old_answers[k] for k in old_answers.keys() - corrections.keys() - rejected_ids
    }
    fates = pl.read_parquet(after / "fates.parquet")
    reasons = fates.filter(pl.col("request_id").is_in(list(rejected_ids)))
    assert set(reasons["reason"]) == {"review_rejected"}
    provenance = pl.read_parquet(after / "provenance.parquet")
    sources = provenance.filter(pl.col("reference_source") == "review")
    assert set(sources["id"]) == corrections.keys()
    manifest = json.loads((after / "manifest.json").read_text())
    (record,) = (tmp_path / "lake" / "reviews").rglob("*.json")
    assert manifest["inputs"]["reviews_sha256"] == [record.stem]


def judge_by_sums(visit: Visit, name: str, misses: int) -> set[str]:
    """Judge all lines by keyboard, and miss some wrong ones; return the ids of wrong lines."""
    visit.page.fill("#reviewer", name)
    visit.page.keyboard.press("Escape")
    wrong_ids = set[str]()
    for _ in range(visit.page.locator("article").count()):
        line = visit.page.locator("article.current")
        question, answer = line.inner_text(), str(line.get_attribute("data-answer"))
        (number,) = map(int, re.findall(r"What is (\d+) plus", question))
        is_wrong = str(2 * number) not in re.findall(r"\d+", answer)
        if is_wrong:
            wrong_ids.add(current_id(visit))
        visit.page.keyboard.press("w" if is_wrong and len(wrong_ids) > misses else "r")
        visit.page.keyboard.press("j")
    return wrong_ids


def test_the_interval_and_the_agreement_are_right_for_planted_errors(
    sums: Path, sluice: RunSluice, browser: Browser, write_logs: WriteLogs, tmp_path: Path
) -> None:
    error_count = 30  # of 150 lines: a rate of 0.2
    log_records = [
        make_record(
            ask=f"What is {n} plus {n}? End with #### and the number.",
            reply=f"#### {2 * n + (n < error_count)}",
            request_id=f"request-{n}",
            at=NOON,
        )
        for n in range(150)
    ]
    shutil.rmtree(tmp_path / "logs")
    write_logs(tmp_path / "logs", [log_records])
    before = build(sluice, sums)
    sheet = write_sheet(sluice, before, "--lines", 0, "--sample", 20)
    files = list[Path]()
    for name, misses in (("ann", 0), ("bob", 2)):
        with browser.open(sheet) as visit:
            wrong_ids = judge_by_sums(visit, name, misses)
            files.append(save(visit, tmp_path))
    assert 2 < len(wrong_ids) < 10

    result = sluice("review", "apply", *files, "--recipe", sums, "--json")
    (figures,) = json.loads(result.out)["releases"]
    error, (agreement,) = figures["error"], figures["agreement"]
    assert error["rate"] == len(wrong_ids) / 20
    assert (error["low"], error["high"]) == error_interval(len(wrong_ids), 20)
    assert error["low"] < error_count / 150 < error["high"]
    assert (agreement["lines"], agreement["equal"]) == (20, 18)
    assert figures["disputed_lines"] == 2
    assert read_answers(before).keys() - read_answers(build(sluice, sums)).keys() == wrong_ids


def test_a_file_that_was_saved_is_loaded_to_go_on(
    sums: Path, sluice: RunSluice, browser: Browser, tmp_path: Path
) -> None:
    sheet = write_sheet(sluice, build(sluice, sums), "--sample", 10)
    with browser.open(sheet) as visit:
        visit.page.fill("#reviewer", "ann")
        visit.page.keyboard.press("Escape")
        for key in ("w", "e"):
            visit.page.keyboard.press(key)
        visit.page.keyboard.type("7")
        visit.page.keyboard.press("Escape")
        first = json.loads(save(visit, tmp_path).read_text())
    with browser.open(sheet) as visit:
        assert visit.page.inner_text("#count").startswith("0 of")
        visit.page.set_input_files("#load", tmp_path / f"review-{first['release']['id']}-ann.json")
        visit.page.wait_for_function("document.getElementById('bar').value === 1")
        second = json.loads(save(visit, tmp_path).read_text())
        assert second["lines"] == first["lines"]
        assert second["reviewer"] == "ann"
        visit.page.keyboard.press("r")
        assert "Undo the correction first" in visit.page.inner_text("#message")


def test_a_browser_that_keeps_nothing_says_so(
    sums: Path, sluice: RunSluice, browser: Browser
) -> None:
    sheet = write_sheet(sluice, build(sluice, sums), "--sample", 10)
    with browser.open(sheet) as visit:
        visit.page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
        )
        visit.page.reload()
        assert "keeps nothing" in visit.page.inner_text("#message")
        visit.page.keyboard.press("r")
        assert visit.page.inner_text("#count").startswith("1 of")
        assert visit.console == []


def test_hostile_content_stays_text(
    sluice: RunSluice, browser: Browser, tmp_path: Path, write_logs: WriteLogs, recipe: WriteRecipe
) -> None:
    records = [
        make_record(
            ask=f"Question {number} of {text}? End with ####",
            reply="#### 7",
            request_id=f"hostile-{number}",
            at=NOON,
        )
        for number, text in enumerate(HOSTILE_TEXTS)
    ]
    write_logs(tmp_path / "logs", [records])
    labels = [
        {"request_id": f"hostile-{n}", "final_answer": "7", "steps": [text], "domain": text}
        for n, text in enumerate(HOSTILE_TEXTS)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
    path = recipe('[answer]\nfrom = ["labels"]\nlabels = "labels.jsonl"\n')
    sheet = write_sheet(sluice, build(sluice, path), "--lines", 0, "--sample", 500)
    with browser.open(sheet, has_scripts=False) as visit:
        assert "Scripts are off" in visit.page.inner_text("noscript")
        text = visit.page.inner_text("main")
        lines = visit.page.locator("article").count()
        assert visit.console == visit.requests == []
    assert lines >= 35
    assert sum(each in text for each in HOSTILE_TEXTS) >= 25  # in others, characters are replaced
    with browser.open(sheet, size=PHONE) as visit:
        for _ in range(lines):
            visit.page.keyboard.press("e")  # the texts go through the script, too
            visit.page.keyboard.press("End")
            visit.page.keyboard.type("8")
            visit.page.keyboard.press("Escape")
            visit.page.keyboard.press("j")
        assert f"{lines} wrong" in visit.page.inner_text("#count")
        assert visit.open_details() == lines + 1
        assert visit.active_nodes(scripts=1) == visit.console == visit.requests == []
        assert visit.overflow() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema_version 2 is not supported"),
        ({"release": {"name": "sums", "id": "x", "digest": "0" * 64}}, "no release sums/x"),
        ({"release": {"name": "..", "id": "..", "digest": "0" * 64}}, "names no release"),
        ({"reviewer": "a\u202eb"}, "printable"),
        ({"reviewer": ""}, "printable"),
        ({"saved_at": "2999-01-01T00:00:00Z"}, "future"),
        ({"lines": {"nobody": {"verdict": "right"}}}, "1 of 1 ids are not lines"),
        ({"lines": {"nobody": {"verdict": "<b>secret"}}}, "not a review file (at $.lines"),
        ({"lines": {"x": {"verdict": "right", "corrected_answer": "1"}}}, 'verdict "wrong"'),
        ({"lines": {"x": {"verdict": "wrong", "corrected_answer": "1" * 70_000}}}, "over 64 KiB"),
        ({"lines": {"x": {"comment": "c" * 4_001}}}, "not a review file"),
        ({"extra": 1}, "not a review file"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_nothing_is_stored(
    sums: Path, sluice: RunSluice, tmp_path: Path, changes: Mapping[str, Any], message: str
) -> None:
    release = build(sluice, sums)
    manifest = json.loads((release / "manifest.json").read_text())
    good = {
        "schema_version": 1,
        "release": {key: manifest[key] for key in ("name", "id", "digest")},
        "sheet": {"lines": 0, "sample": 10, "seed": 0},
        "reviewer": "ann",
        "saved_at": "2026-10-02T10:00:00Z",
        "lines": {next(iter(read_answers(release))): {"verdict": "right"}},
    }
    paths = [tmp_path / "good.json", tmp_path / "bad.json"]
    for path, content in zip(paths, (good, {**good, **changes}), strict=True):
        path.write_text(json.dumps(content))
    result = sluice("review", "apply", *paths, "--lake", tmp_path / "lake")
    assert (result.code, result.out) == (2, "")
    assert message in result.err.replace("\n", " ")
    assert "secret" not in result.err
    assert not (tmp_path / "lake" / "reviews").exists()
