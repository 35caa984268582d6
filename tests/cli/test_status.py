"""`sluice status` and the index page: what is known of the releases of a recipe."""

import json
import webbrowser
from pathlib import Path

import pytest
from support.html import Page
from support.protocols import RunSluice

DAYS = ("2026-10-01T12:02", "2026-10-02")  # ends of windows


def test_the_terminal_and_the_index_show_releases_and_decisions(
    sums: Path, sluice: RunSluice
) -> None:
    assert sluice("status", sums).code == 0
    release = Path(sluice("build", sums).out.strip())
    index = release.parent / "index.html"
    assert release.name in index.read_text(encoding="utf-8")
    index.unlink()  # it can be made again
    assert sluice("approve", release, "--by", "[bold]R.[/] Viewer").code == 0
    result = json.loads(sluice("status", sums, "--json").out)
    (state,) = result["releases"]
    assert (state["id"], state["verdict"], result["jobs"]) == (release.name, "passed", [])
    assert "[bold]R.[/] Viewer" in state["decisions"][0]
    for place in (sums, release.parents[2]):
        listing = json.loads(sluice("releases", place, "--json").out)
        assert listing == {"releases": result["releases"]}
    assert release.name in sluice("releases", sums).err
    assert "[bold]R.[/]" in sluice("status", sums).err
    assert "[bold]R.[/] Viewer" in index.read_text(encoding="utf-8")


def test_the_report_command_opens_the_index_which_says_what_status_says(
    sums: Path, sluice: RunSluice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    releases = [Path(sluice("build", sums, "--until", day).out.strip()) for day in DAYS]
    sluice("approve", releases[0], "--by", "Ada", "--role", "legal")
    sluice("decline", releases[1], "--by", "Grace", "--note", "too few lines")
    states = json.loads(sluice("status", sums, "--json").out)["releases"]
    assert [each["id"] for each in states] == [each.name for each in reversed(releases)]

    urls = list[str]()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", urls.append)
    for source in (sums, releases[0]):
        path = Path(sluice("report", source, "--index").out.strip())
        assert urls.pop() == path.as_uri()
        page = Page(path.read_text(encoding="utf-8"))
        text = "".join(page.text.split())
        for state, release in zip(states, reversed(releases), strict=True):
            assert ("href", (release / "report.html").as_uri()) in page.attributes
            cells = [state["id"], *state["decisions"], state["verdict"]]
            numbers = [f"{state[side]:,}" for side in ("train", "validation")]
            assert "".join([*cells, *numbers]).replace(" ", "") in text
    ours = (releases[0].parent / "index.html").read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8").replace(f"{releases[0].parent.as_uri()}/", "") == ours


def test_a_release_that_is_damaged_is_shown_as_such(sums: Path, sluice: RunSluice) -> None:
    release = Path(sluice("build", sums).out.strip())
    (release / "manifest.json").write_text("{}")
    assert "unreadable" in sluice("status", sums).err


def test_an_index_that_cannot_be_written_fails_no_build(sums: Path, sluice: RunSluice) -> None:
    folder = sums.parent / "lake" / "releases" / "sums" / "index.html"
    folder.mkdir(parents=True)
    assert sluice("build", sums).code == 0


def test_explain_shows_a_record_in_all_releases(
    sums: Path, sluice: RunSluice, tmp_path: Path
) -> None:
    release = Path(sluice("build", sums).out.strip())
    line = json.loads((release / "train.jsonl").read_text().partition("\n")[0])
    page = tmp_path / "record.html"
    run = sluice("explain", sums, line["id"], "--page", page)
    assert run.code == 0
    assert "1 of 1 releases have read this record" in run.err
    assert release.name in page.read_text(encoding="utf-8")
    assert sluice("explain", sums, "nobody\x1b[31m", "--history").code == 1
