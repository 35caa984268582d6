"""Small releases to decide on, and records of decisions as an attacker would write them."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bedrock_sluice.expectations.checks import Check, Limit, encode_checks
from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.lake.releases.manifest import Verdict
from bedrock_sluice.lake.releases.release import Release
from support.releases import publish_files

FAILED = Check(
    name="train_count",
    message="the training file has 100 lines",
    severity="fail",
    passed=False,
    measured=1,
    limit=Limit(100),
    unit="lines",
    examples=[],
    hint="Add logs",
)


def publish_small(
    folder: Path, verdict: Verdict = "passed", lake: str = "", line: str = "a", **approval: object
) -> Release:
    """Publish a release of one line; `approval` are the keys of that section."""
    keys = {"name": "math", "source": {"uri": "logs"}, "template": {"name": "math"}}
    recipe = Recipe.model_validate(
        {**keys, "lake": lake or str(folder / "lake"), "approval": approval}
    )
    checks = encode_checks([replace(FAILED, passed=verdict == "passed")]).decode()
    texts = {"train.jsonl": f'{{"id":"{line}"}}\n', "validation.jsonl": "", "checks.json": checks}
    files = {name: folder / name for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    return publish_files(recipe, files, verdict)


def record_paths(release: Release) -> list[Path]:
    """Return the files of the decisions in a lake on disk, in their order."""
    return sorted(Path(release.lake.uri, "decisions", release.name).glob("*"))


def write_record(path: Path, **changes: Any) -> None:
    """Change fields of a record and write it in its own form, with a checksum that fits."""
    record = json.loads(path.read_text()) | changes | {"checksum": ""}
    content = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    record["checksum"] = sha256(content).hexdigest()
    text = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    path.write_text(text + "\n")
