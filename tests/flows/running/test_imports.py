"""What programs leave out: pyarrow goes without pandas, but whoever asks for pandas gets it."""

import os
import subprocess
import sys
from pathlib import Path

from support.command_line import RECIPE

CODE = """\
import sys
import pyarrow as pa
from bedrock_sluice.flows.running.imports import spare_pandas
spare_pandas()
array = pa.array([1, 2])
print("pandas" in sys.modules)
import pandas
print(len(array.to_pandas()), pa.Table.from_pandas(pandas.DataFrame({"n": [1, None]}))["n"])
"""

TEMPLATE = """\
import pandas

from bedrock_sluice.rewards.templates.math import MathTemplate


class Sums(MathTemplate):
    name = "sums"
"""


def test_pandas_is_imported_when_it_is_asked_for() -> None:
    output = subprocess.check_output([sys.executable, "-c", CODE], text=True)
    assert output.split()[:2] == ["False", "2"]


def test_a_template_of_a_user_may_import_pandas(tmp_path: Path) -> None:
    info_folder = tmp_path / "frames-1.dist-info"
    info_folder.mkdir()
    (info_folder / "METADATA").write_text("Metadata-Version: 2.1\nName: frames\nVersion: 1\n")
    (info_folder / "entry_points.txt").write_text(
        "[bedrock_sluice.templates]\nsums = frames:Sums\n"
    )
    (tmp_path / "frames.py").write_text(TEMPLATE)
    recipe = tmp_path / "sums.toml"
    recipe.write_text(RECIPE.replace('name = "math"', 'name = "sums"'))
    command = [sys.executable, "-m", "bedrock_sluice", "validate", str(recipe)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, "pandas" in result.stderr) == (0, False)
