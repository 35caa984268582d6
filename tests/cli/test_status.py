"""`sluice status` and the index page: what is known of the releases of a recipe."""

import json
from pathlib import Path

from support.protocols import RunSluice


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
    assert "[bold]R.[/]" in sluice("status", sums).err
    assert "[bold]R.[/] Viewer" in index.read_text(encoding="utf-8")


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
