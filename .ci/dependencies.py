"""Try Sluice with the oldest or the newest versions of its dependencies, in a fresh environment.

    python .ci/dependencies.py oldest|newest [--keep]

First the wheel alone, without an extra and without development tools: `sluice --help`, a build of
the demo, and the message of a command that lacks its extra. Then the extras and some of the tests.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("dask", "datasets", "flows", "language")
TEST_TOOLS = ("hypothesis", "moto[s3,server]", "pytest", "pytest-timeout", "pyyaml")
SMOKE_TESTS = (
    *("tests/api", "tests/demo", "tests/sql", "tests/expectations/test_gate.py"),
    *("tests/rewards/templates/test_templates.py", "tests/transforms/readers/test_dialects.py"),
    *("tests/transforms/dedup/test_near_duplicates.py", "tests/transforms/privacy/test_masking.py"),
    *(
        "tests/transforms/privacy/test_personal_data.py",
        "tests/transforms/features/test_languages.py",
    ),
)


def lower_bounds() -> list[str]:
    """Return `name==version` for each lower bound in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    bounds = [re.match(r"([\w-]+)(?:\[.*\])?>=([\w.]+)", each) for each in requirements]
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def run(*command: str | Path, cwd: Path = ROOT, ok: tuple[int, ...] = (0,)) -> str:
    """Run a command and return its output.

    Raises:
        SystemExit: the exit code is not one of `ok`.
    """
    start = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - start
    print(f"{seconds:6.1f} s  exit {process.returncode}  {' '.join(map(str, command))}", flush=True)
    if process.returncode not in ok:
        sys.exit(process.stdout[-6000:] + process.stderr[-6000:])
    return process.stdout + process.stderr


def try_wheel(folder: Path, python: Path, pip: list[str | Path]) -> Path:
    """Build the wheel, install it with the base dependencies alone, and run the demo."""
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    run(*pip, wheel)
    sluice = python.parent / "sluice"
    run(sluice, "--help", cwd=folder)
    run(sluice, "demo", "--records", "600", "--out", folder / "demo", cwd=folder)
    (lines,) = (folder / "demo").glob("lake/releases/*/*/train.jsonl")
    run(sluice, "check", lines, "--profile", "math", cwd=folder)
    message = run(sluice, "serve", folder, cwd=folder, ok=(2,))
    if "bedrock-sluice[flows]" not in message:
        sys.exit(f"`sluice serve` does not name its extra: {message}")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", choices=("oldest", "newest"))
    parser.add_argument("--keep", action="store_true", help="Keep the environment.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sluice-dependencies-"))
    print(f"{options.versions} versions, in {folder}")
    try:
        run(sys.executable, "-m", "venv", folder / "venv")
        python = folder / "venv" / "bin" / "python"
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
        if uv := shutil.which("uv"):  # pip may need minutes to find out that versions conflict
            pip = [uv, "pip", "install", "--quiet", "--python", python]
        if options.versions == "oldest":
            constraints = folder / "oldest.txt"
            constraints.write_text("\n".join(lower_bounds()), encoding="utf-8")
            pip += ["--constraint", constraints]
        wheel = try_wheel(folder, python, pip)
        run(*pip, f"{wheel}[{','.join(EXTRAS)}]", *TEST_TOOLS)
        run(python, "-m", "pip", "check")
        # Warnings of other versions are their makers' business here; failures are ours.
        run(python, "-m", "pytest", "-q", "-W", "default", *SMOKE_TESTS)
        print(run(python, "-m", "pip", "list", "--format=freeze"))
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
