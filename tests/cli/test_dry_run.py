"""`sluice build --dry-run`: the verdict and the counts of a build that publishes nothing."""

import json
from pathlib import Path

from support.protocols import RunSluice


def test_a_dry_run_tells_what_a_build_publishes_and_publishes_nothing(
    sums: Path, sluice: RunSluice
) -> None:
    lake = sums.parent / "lake"
    rehearsal = sluice("build", sums, "--dry-run", "--json")
    result = json.loads(rehearsal.out)
    assert (rehearsal.code, result["dry_run"], result["is_published"]) == (0, True, False)
    assert {path.name for path in lake.iterdir()} == {"landed", "derived"}
    assert not list(lake.glob("derived/*/lines"))  # marks beside a release
    build = json.loads(sluice("build", sums, "--json").out)
    assert build == {key: result[key] for key in build}
    manifest = Path(build["release"], "manifest.json")
    written_at = manifest.stat().st_mtime_ns
    again = sluice("build", sums, "--dry-run")
    assert "exists already" in again.err
    assert manifest.stat().st_mtime_ns == written_at

    sums.write_text(sums.read_text() + "[split]\nmax_lines = 20\n")
    rejection = sluice("build", sums, "--dry-run")
    assert rejection.code == 1
    assert "nothing was published" in rejection.err
    assert "lines since" in rejection.err
    assert [path.parent.name for path in lake.rglob("manifest.json")] == [build["id"]]
