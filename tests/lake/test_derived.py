"""The fingerprint of derived parts: code, libraries and settings each decide what is computed."""

import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from bedrock_sluice import transforms
from bedrock_sluice.lake import derived
from bedrock_sluice.lake.derived import LIBRARIES, fingerprint
from bedrock_sluice.transforms.curate.derived_rows import DeriveOptions

OPTIONS = DeriveOptions()


def test_a_change_in_any_file_of_the_core_gives_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = tmp_path / "transforms"
    shutil.copytree(Path(transforms.__file__).parent, core)
    monkeypatch.setattr(derived, "transforms", SimpleNamespace(__file__=str(core / "__init__.py")))
    fingerprints = {fingerprint(OPTIONS)}
    derived.code_digest.cache_clear()
    assert fingerprint(OPTIONS) in fingerprints  # wherever the files lie
    for name in ("dedup/shingles.py", "features/refusals.json"):
        with (core / name).open("a") as file:
            file.write("\n")
        derived.code_digest.cache_clear()
        fingerprints.add(fingerprint(OPTIONS))
    monkeypatch.undo()
    derived.code_digest.cache_clear()
    assert len(fingerprints) == 3


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_version_of_a_library_gives_another_fingerprint(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(OPTIONS)
    monkeypatch.setattr(derived, "version", lambda name: "9" if name == library else version(name))
    assert fingerprint(OPTIONS) != before
