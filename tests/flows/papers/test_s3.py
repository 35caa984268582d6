"""A lake on S3: the papers and the trace are those of a lake in a folder."""

from pathlib import Path

from support.demo_releases import MODEL, build_demo, train
from support.protocols import RunSluice


def test_papers_and_trace_of_a_lake_on_s3(bucket: str, tmp_path: Path, sluice: RunSluice) -> None:
    release = build_demo(tmp_path / "demo", lake=f"s3://{bucket}/lake")
    train(release)
    result = sluice("papers", release.uri, "--out", tmp_path / "out", "--data")
    assert result.code == 0, result.err
    facts = release.manifest.files["train.jsonl"]
    assert (tmp_path / "out" / "train.jsonl").stat().st_size == facts.bytes
    assert (tmp_path / "out" / "job-demo-1.intoto.json").is_file()
    result = sluice("trace", MODEL, "--lake", f"s3://{bucket}/lake")
    assert result.code == 0, result.err
    assert "records    verified: each of" in result.err
