"""Which module may import what: the arrows between our packages, and the purity of the core."""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "bedrock_sluice"

ARROWS = {
    "api": {"api", "cli", "flows", "lake", "transforms", "rewards", "expectations"},
    "cli": {"cli", "demo", "flows", "lake", "transforms", "rewards", "expectations", "sql"},
    "demo": {"demo", "transforms"},
    "flows": {"flows", "lake", "transforms", "rewards", "expectations", "sql"},
    "expectations": {"expectations", "transforms"},
    "lake": {"lake", "transforms"},
    "rewards": {"rewards", "transforms"},
    "transforms": {"transforms"},
    "sql": {"sql"},
}
"""From each folder, the folders that it may import."""

MAX_FILES_PER_FOLDER = 13
"""Modules of one folder, `__init__` aside; a folder with more is split into rooms."""

HOMES = {
    "great_expectations": ("expectations/gate.py",),
    "prefect": ("flows/",),
    "duckdb": ("lake/duck.py",),
    "boto3": ("lake/", "flows/", "rewards/graders/judge_grader.py"),
    "botocore": ("lake/", "flows/"),
}
"""Libraries that stay in one place: the paths, or starts of paths, that may import them."""

IMPURE_MODULES = {
    *("boto3", "botocore", "prefect", "great_expectations", "duckdb", "requests", "httpx"),
    *("socket", "subprocess", "logging", "random", "os", "time", "tempfile", "pathlib"),
}
IMPURE_BUILTINS = {"open", "print"}
IMPURE_ATTRIBUTES = {"now", "utcnow", "today", "open"}  # of a date class, of `io`

LATE = ("prefect", "great_expectations", "polars", "boto3", "pyarrow", "duckdb", "pydantic")
"""What the command line may import only once it is needed."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import, wherever it stands; relative ones start with a dot."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, each.name) for each in names)
            case ast.ImportFrom(names=names):
                start = "." * node.level + (f"{node.module}." if node.module else "")
                yield from ((node.lineno, start + each.name) for each in names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]):
                if ast.unparse(node.func).endswith(("import_module", "__import__")):
                    yield node.lineno, name


def impure(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of each use of the clock, of a file or of the terminal, called or passed on."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in IMPURE_BUILTINS:
                yield node.lineno, name
            case ast.Attribute(attr=name) if name in IMPURE_ATTRIBUTES:
                yield node.lineno, ast.unparse(node)


def parse_files(folder: str) -> Iterator[tuple[str, ast.AST]]:
    for path in modules(folder):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes())


def imports(*folders: str) -> Iterator[tuple[str, str, str]]:
    """Path, `path:line` and dotted name of every import in the folders."""
    for folder in folders:
        for path, tree in parse_files(folder):
            yield from ((path, f"{path}:{line}", name) for line, name in imports_in(tree))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os.path as p", ["os.path"]),
        ("from os import path", ["os.path"]),
        ("def f():\n    from bedrock_sluice.lake import duck", ["bedrock_sluice.lake.duck"]),
        ("if TYPE_CHECKING:\n    import boto3", ["boto3"]),
        ("from bedrock_sluice import lake", ["bedrock_sluice.lake"]),
        ("from . import errors", [".errors"]),
        ("from ..lake import s3", ["..lake.s3"]),
        ("importlib.import_module('duckdb')", ["duckdb"]),
    ],
)
def test_an_import_is_seen_however_it_is_written(source: str, expected: list[str]) -> None:
    assert [name for _, name in imports_in(ast.parse(source))] == expected


@pytest.mark.parametrize("folder", ARROWS)
def test_arrows_point_one_way(folder: str) -> None:
    assert modules(folder)
    allowed_targets = ARROWS[folder]
    wrong = [
        (where, name)
        for _, where, name in imports(folder)
        if name.split(".")[0] == OURS and target_folder(name) not in allowed_targets
    ]
    assert wrong == []


def target_folder(name: str) -> str:
    """The folder of a module of ours: those right below the package lie in `api`."""
    second = name.split(".")[1]
    return "api" if (ROOT / "api" / f"{second}.py").exists() else second


def test_imports_are_absolute_and_carry_the_package_name() -> None:
    wrong = [
        (where, name) for _, where, name in imports(*ARROWS) if name.split(".")[0] in {"", *ARROWS}
    ]
    assert wrong == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    wrong = [
        where
        for path, where, name in imports(*ARROWS)
        if name.split(".")[0] == library and not path.startswith(HOMES[library])
    ]
    assert wrong == []


def test_the_core_imports_nothing_that_reaches_outside() -> None:
    import_names = [(where, name) for _, where, name in imports("transforms")]
    assert [each for each in import_names if each[1].split(".")[0] in IMPURE_MODULES] == []


def test_the_core_reads_no_clock_and_opens_and_prints_nothing() -> None:
    calls = [
        f"{path}:{line}: {text}"
        for path, tree in parse_files("transforms")
        for line, text in impure(tree)
    ]
    assert calls == []


def module_graph() -> dict[str, set[str]]:
    """Each module of ours, by dotted name, and the modules of ours that it imports."""
    names = {module_name(path): path for folder in ARROWS for path in modules(folder)}
    graph = dict[str, set[str]]()
    for name, path in names.items():
        imports_of = [each for _, each in imports_in(ast.parse(path.read_bytes()))]
        targets = {each if each in names else each.rpartition(".")[0] for each in imports_of}
        graph[name] = targets & names.keys() - {name}
    return graph


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[1:] if parts[0] == "api" else parts
    return ".".join((OURS, *parts)).removesuffix(".__init__")


def room(name: str) -> str:
    """The folder of a module. A file beside folders is a room of its own: `flows/pipeline` uses the
    stages, which use `flows/context`.
    """
    path = "/".join(name.split(".")[1:])
    folder = ROOT / (path if (ROOT / path).is_dir() else path.rpartition("/")[0])
    has_rooms = any(each.parent != folder for each in folder.rglob("*.py"))
    return path if has_rooms else folder.relative_to(ROOT).as_posix()


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """A cycle of the graph, if it has one: else an empty list."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = module_graph()
    assert len(graph) > 150
    assert cycle(graph) == []


def test_no_folders_import_each_other_in_a_circle() -> None:
    rooms = defaultdict[str, set[str]](set)
    for name, targets in module_graph().items():
        rooms[room(name)] |= {room(target) for target in targets} - {room(name)}
    assert len(rooms) > 20
    assert cycle(rooms) == []


def test_a_circle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []


def test_no_folder_is_a_drawer() -> None:
    sizes = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for folder in ARROWS
        for path in modules(folder)
        if path.name != "__init__.py"
    )
    assert {folder: n for folder, n in sizes.items() if n > MAX_FILES_PER_FOLDER} == {}


def test_flows_hide_no_module_of_the_standard_library() -> None:
    assert {path.stem for path in (ROOT / "flows").glob("*.py")} & sys.stdlib_module_names == set()


def test_importing_the_command_line_loads_no_heavy_library(tmp_path: Path) -> None:
    code = f"import sys, {OURS}.cli.app\nprint(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert set(LATE) & set(process.stdout.split()) == set()


def test_a_recipe_is_checked_without_the_libraries_of_a_build() -> None:
    code = f"import sys, {OURS}.flows.recipe\nprint(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert {"numpy", "polars", "pyarrow", "scipy"} & set(process.stdout.split()) == set()
