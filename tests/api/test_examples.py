"""The examples of the Python API run: those of its docstrings, and those of docs/python.md."""

import doctest
import inspect
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.logs import make_records

import bedrock_sluice

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FUNCTIONS = [
    name for name in bedrock_sluice.__all__ if inspect.isfunction(getattr(bedrock_sluice, name))
]


def docstring_examples() -> list[doctest.DocTest]:
    """Return the examples of the package, and of all that its public names document."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    objects = [(name, getattr(bedrock_sluice, name)) for name in bedrock_sluice.__all__]
    documented_objects = [(name, value) for name, value in objects if not isinstance(value, str)]
    tests = [
        test
        for name, value in documented_objects
        for test in finder.find(value, name, module=False, globs={})
    ]
    package = doctest.DocTestParser().get_doctest(
        bedrock_sluice.__doc__ or "", {}, "bedrock_sluice", None, None
    )
    return [test for test in [package, *tests] if test.examples]


EXAMPLES = docstring_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.name for each in EXAMPLES])
def test_the_examples_of_docstrings_give_what_they_show(
    example: doctest.DocTest, in_demo: Path, release: bedrock_sluice.Release
) -> None:
    if "to_datasets" in example.name:
        pytest.importorskip("datasets")
    example.globs["release"] = release
    output = list[str]()
    doctest.DocTestRunner().run(example, out=output.append)
    assert output == []


def test_every_public_function_has_an_example() -> None:
    assert set(FUNCTIONS) - {each.name for each in EXAMPLES} == set()


@pytest.fixture
def _logging() -> Iterator[None]:
    """Leave the logging as it was."""
    root, logger = logging.getLogger(), logging.getLogger("bedrock_sluice")
    handlers, level = list(root.handlers), logger.level
    yield
    root.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("_logging")
def test_the_examples_of_the_page_run_in_its_order(
    in_demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("datasets")
    records = make_records(3)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (in_demo / "records.jsonl").write_text(text, encoding="utf-8")
    names: dict[str, object] = {}
    for number, script in enumerate(SCRIPTS):
        exec(compile(script, f"example {number}", "exec"), names)
    assert len(SCRIPTS) > 8
    assert names["reasons"]
    assert names["is_retryable"] is False
    assert "tutor.toml: No such file or directory" in capsys.readouterr().out


def test_the_page_lists_the_public_names_and_no_others() -> None:
    table = PAGE.partition("## What is public")[2]
    assert re.findall(r"^\| `(\w+)", table, re.MULTILINE) == bedrock_sluice.__all__


def test_the_page_uses_public_names_only() -> None:
    uses = set(re.findall(r"bedrock_sluice\.(\w+)", "".join(SCRIPTS)))
    assert uses <= set(bedrock_sluice.__all__)
    assert set(FUNCTIONS) <= uses
    assert "from bedrock_sluice" not in "".join(SCRIPTS)
