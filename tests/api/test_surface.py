"""The public names: all of them load, none slows down the import, and none needs Prefect."""

import subprocess
import sys
from pathlib import Path

import pytest

import bedrock_sluice

MAX_IMPORT_SECONDS = 0.02


def run_python(code: str) -> str:
    """Run code in an interpreter of its own, and return what it prints."""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return process.stdout


@pytest.mark.parametrize("name", bedrock_sluice.__all__)
def test_each_public_name_loads_and_is_documented(name: str) -> None:
    value = getattr(bedrock_sluice, name)
    assert name in dir(bedrock_sluice)
    assert isinstance(value, str) or value.__doc__


def test_type_checkers_see_every_name_that_is_loaded_late() -> None:
    text = Path(bedrock_sluice.__file__).read_text(encoding="utf-8")
    block = text.partition("if TYPE_CHECKING:\n")[2].partition("__all__")[0]
    words = set(block.replace(",", " ").replace(":", " ").split())
    assert set(bedrock_sluice.__all__) - words == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        _ = bedrock_sluice.biuld  # type: ignore[attr-defined]


def test_importing_the_package_is_cheap() -> None:
    code = (
        "import sys, time; before = set(sys.modules); start = time.perf_counter()\n"
        "import bedrock_sluice\n"
        "print(time.perf_counter() - start, *(set(sys.modules) - before))"
    )
    runs = [run_python(code).split() for _ in range(3)]
    assert min(float(seconds) for seconds, *_ in runs) < MAX_IMPORT_SECONDS
    assert [modules for _, *modules in runs] == [["bedrock_sluice"]] * 3


def test_no_public_name_loads_prefect() -> None:
    code = (
        "import sys, bedrock_sluice\n"
        "for name in bedrock_sluice.__all__: getattr(bedrock_sluice, name)\n"
        "import bedrock_sluice.flows.pipeline, bedrock_sluice.flows.decisions.requirements\n"
        "print(*({'prefect', 'datasets', 'typer'} & set(sys.modules)))"
    )
    assert run_python(code).split() == []
