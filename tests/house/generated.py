"""The generated parts of the documentation: `make readme` rewrites them, a test compares them.

    python tests/house/generated.py

A part is a fenced block between the comments `<!-- NAME: … -->` and `<!-- end of NAME -->`.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def demo_output() -> str:
    """Run the demo and return the table and the counts that it prints, without its paths."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(
            [sys.executable, "-m", "bedrock_sluice", "demo", "--out", "demo"],
            cwd=folder,
            env=os.environ | {"COLUMNS": "140", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    lines = [line.rstrip() for line in process.stderr.splitlines() if folder not in line]
    first = next(number for number, line in enumerate(lines) if line.startswith("┏")) - 1
    return "\n".join(lines[first:]).strip("\n") + "\n"


def block(text: str, name: str) -> str:
    """Return the generated part of that name."""
    match = _pattern(name).search(text)
    assert match, f"no part {name!r}"
    return match[2]


def replace_block(text: str, name: str, content: str) -> str:
    """Return the text with another content in the part of that name."""
    return _pattern(name).sub(lambda match: f"{match[1]}```\n{content}```\n{match[3]}", text)


def _pattern(name: str) -> re.Pattern[str]:
    start, end = rf"<!-- {name}:[^>]*-->\n", rf"<!-- end of {name} -->"
    return re.compile(rf"({start})(?:```\n)?(.*?)(?:```\n)?({end})", re.DOTALL)


if __name__ == "__main__":
    README.write_text(
        replace_block(README.read_text(encoding="utf-8"), "demo", demo_output()), encoding="utf-8"
    )
