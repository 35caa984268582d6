"""What programs leave out: pyarrow goes without pandas, and converts to it if someone asks."""

import subprocess
import sys

CODE = """\
import sys
import pyarrow as pa
from bedrock_sluice.flows.running.imports import without
with without("pandas"):
    array = pa.array([1, 2])
print("pandas" in sys.modules, len(array.to_pandas()), "pandas" in sys.modules)
"""


def test_pandas_is_imported_when_it_is_asked_for() -> None:
    output = subprocess.check_output([sys.executable, "-c", CODE], text=True)
    assert output.split() == ["False", "2", "True"]
