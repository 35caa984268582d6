"""Files and functions stay short, and files are named after what they are about."""

import ast
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "demo", "expectations", "flows", "lake", "rewards", "sql", "transforms")

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
MAX_P90_FUNCTION_LINES = 40
MAX_MEDIAN_FUNCTION_LINES = 13

EMPTY_NAMES = {"util", "helper", "manager", "common", "misc"}  # and their plurals


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def function_lengths(path: Path) -> dict[str, int]:
    """Lines of each function of a file, from `def` to its end, by `path:line name`."""
    where = path.relative_to(ROOT).as_posix()
    return {
        f"{where}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_file_is_long() -> None:
    lengths = {p: len(p.read_bytes().splitlines()) for p in modules(*PACKAGES, "tests")}
    assert lengths
    assert {str(p): n for p, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_long() -> None:
    lengths = [each for p in modules(*PACKAGES, "tests") for each in function_lengths(p).items()]
    assert [each for each in lengths if each[1] > MAX_FUNCTION_LINES] == []


def test_most_functions_are_short() -> None:
    lengths = [lines for p in modules(*PACKAGES) for lines in function_lengths(p).values()]
    assert median(lengths) <= MAX_MEDIAN_FUNCTION_LINES
    assert quantiles(lengths, n=10)[-1] <= MAX_P90_FUNCTION_LINES


def test_no_name_says_nothing() -> None:
    paths = [path.relative_to(ROOT) for path in modules(*PACKAGES, "tests")]
    parts = [
        (str(p), part.strip("_").removesuffix("s")) for p in paths for part in (*p.parts, p.stem)
    ]
    assert [path for path, part in parts if part in EMPTY_NAMES] == []
