"""Names are nouns, verb phrases or statements, and texts are plain: two habits that hurt, banned.

A bare participle (`told`, `found`, `checked`) says that something happened to a value, not what it
is, so it fits any value and explains none. "X is no Y" is not how people write.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IRREGULAR = re.compile(
    "told|made|held|given|found|taken|named|chosen|judged|tried|settled|kept|done|gone|seen|said|sent"
    "|shown|written|known|drawn|grown|built|bound|meant|paid|ran|sold|sought|spent|stood|taught"
    "|thought|understood|won|begun|bought|caught|fed|felt|fought|forgotten|got|hidden|laid|led|lent"
    "|met|sat|slept|swept|sworn|thrown|torn|worn|woken|broken|frozen|shut|struck|swum|sung|hurt"
    "|lost|born"
)
REGULAR = re.compile("[a-z]{2,}ed")
NOT_PARTICIPLES = re.compile(
    "bed|bleed|breed|exceed|feed|indeed|need|proceed|red|seed|shed|sled|speed|succeed|weed"
)
ALLOWED = {
    "kept": "what a filter keeps, beside `rejected`: the pair of FilterResult",
    "rejected": "see `kept`",
    "landed": "the table of the rows that are landed in the lake",
    "expected": "what a test compares with",
    "nested": "an adjective: values within values",
    "tuned": "the fine-tuned model, beside its `base`",
}
"""Participles that are established names here, and why."""

EXEMPT = {
    "expectations/checks.py": {"passed", "measured"},  # fields of checks.json
    "expectations/gate.py": {"passed"},  # of Great Expectations' own result
    "transforms/facts/readiness_facts.py": {"scored", "compared"},  # fields of `grade --json`
    "transforms/facts/release_facts.py": {"dropped", "quarantined"},  # fields of the manifest
    "lake/logs/landed.py": {"modified"},  # a field in the footer of every landed part
    "lake/releases/manifest_v1.py": {  # fields of version 1 of the manifest
        *("taken", "used", "unused", "undated", "evaluated", "untagged", "inspected", "instructed"),
    },
    "lake/stores/store.py": {"modified"},  # the same
    "transforms/readers/chat_dialects/cohere_command.py": {"required"},  # a field of Cohere's
    "transforms/readers/fast_path.py": {"created"},  # a field of OpenAI's
}
"""Fields that a format, ours or another's, names so."""

PACKAGES = ("api", "cli", "demo", "expectations", "flows", "lake", "rewards", "sql", "transforms")
FOLDERS = (*PACKAGES, "tests")

IS_NO = re.compile(r"(?<![Tt]here )\b(?:is|are) no (?!longer\b|more\b|less\b|fewer\b|later\b)[a-z]")


def is_participle(name: str) -> bool:
    """Whether a name is one bare participle, with or without underscores around it."""
    word = name.strip("_")
    if "_" in word or not word.islower() or NOT_PARTICIPLES.fullmatch(word):
        return False
    if word in ALLOWED:
        return False
    return (IRREGULAR.fullmatch(word) or REGULAR.fullmatch(word)) is not None


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of each function, parameter, binding and field."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield node.lineno, name


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each text that people read, with its line: all of a page; of code, its strings and
    comments; of JSON and templates, all lines.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, " ".join(node.value.split())
    for number, line in enumerate(text.splitlines(), start=1):
        if "#" in line:
            yield number, line.partition("#")[2]


def files(folder: str, *suffixes: str) -> list[Path]:
    paths = (ROOT / folder).glob("*") if folder == "." else (ROOT / folder).rglob("*")
    return sorted(p for p in paths if p.suffix in suffixes and p != Path(__file__))


def bare_participles(folder: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files(folder, ".py")
        for line, name in names(ast.parse(path.read_bytes()))
        if is_participle(name) and name not in EXEMPT.get(path.relative_to(ROOT).as_posix(), set())
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_is_a_bare_participle(folder: str) -> None:
    assert files(folder, ".py" if folder != "sql" else ".sql")
    assert bare_participles(folder) == []


def test_every_exemption_is_needed() -> None:
    for path, exempt in EXEMPT.items():
        found_names = {name for _, name in names(ast.parse((ROOT / path).read_bytes()))}
        assert exempt <= found_names, path


@pytest.mark.parametrize("folder", [*PACKAGES, "docs", "."])
def test_no_text_says_is_no(folder: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text[:100]}"
        for path in files(folder, ".py", ".md", ".json", ".j2", ".toml", ".yaml")
        for line, text in texts(path)
        if IS_NO.search(text)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("told = 1", "told"),
        ("def f(checked): ...", "checked"),
        ("def _asked(): ...", "_asked"),
        ("for found in x: ...", "found"),
        ("with x as opened: ...", "opened"),
        ("class C:\n    named: int", "named"),
        ("match x:\n    case [made]: ...", "made"),
        ("if (done := x): ...", "done"),
    ],
)
def test_a_participle_is_found_wherever_it_is_bound(source: str, name: str) -> None:
    assert [each for _, each in names(ast.parse(source)) if is_participle(each)] == [name]


@pytest.mark.parametrize("name", ["seed", "rejected", "is_named", "message", "GIVEN", "need"])
def test_other_names_are_allowed(name: str) -> None:
    assert not is_participle(name)


def test_every_exception_is_used() -> None:
    paths = [path for folder in FOLDERS for path in files(folder, ".py")]
    counts = Counter(name.strip("_") for p in paths for _, name in names(ast.parse(p.read_bytes())))
    assert {word for word in ALLOWED if not counts[word]} == set()
