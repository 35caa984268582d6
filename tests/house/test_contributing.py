"""The steps of CONTRIBUTING.md, followed in a copy of the tree, give a tree whose tests pass."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from house.test_wheel import project_files

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

READER = '''"""Tiny text completions: a shape that no provider has."""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from bedrock_sluice.transforms.chat.messages import Exchange
from bedrock_sluice.transforms.readers.completions import Piece, answer_keys, text_exchange
from bedrock_sluice.transforms.readers.reader import Keys

DIALECT = "tiny_text"


class _Request(Struct):
    tiny_prompt: str


class _Response(Struct):
    tiny_answer: str


_REQUEST = Decoder(_Request)
_RESPONSE = Decoder(_Response)


def claims(request: Keys, response: Keys | list[Raw]) -> bool:
    """Return whether these are a tiny prompt and its answer."""
    return "tiny_prompt" in request and "tiny_answer" in answer_keys(response)


def read(request: bytes, response: bytes) -> Exchange:
    """Read a tiny prompt and its answer."""
    prompt, answer = _REQUEST.decode(request), _RESPONSE.decode(response)
    return text_exchange(DIALECT, prompt.tiny_prompt, [Piece(answer.tiny_answer, None)])
'''

READER_TEST = '''"""The reader `tiny_text`."""

import msgspec

from bedrock_sluice.transforms.readers.registry import find_reader


def test_a_tiny_body_is_read() -> None:
    request, response = b'{"tiny_prompt": "6 x 7?"}', b'{"tiny_answer": "42"}'
    keys = [msgspec.json.decode(body, type=dict[str, msgspec.Raw]) for body in (request, response)]
    reader = find_reader(*keys)
    assert reader is not None
    assert reader.DIALECT == "tiny_text"
    assert "6 x 7?" in str(reader.read(request, response))
'''

TEMPLATE = '''"""Template `tiny`: one word."""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.rewards.templates.base import Reference, Template


class TinyTemplate(Template):
    """`{"word": "yes"}`."""

    name = "tiny"
    about = '{"word": "yes"}'

    def from_fields(self, fields: Mapping[str, Any]) -> Reference | None:
        """Return the word of a label."""
        reference = {"word": fields.get("word")}
        return reference if self.fits(reference) else None

    def fits(self, reference: object) -> bool:
        """Return whether it holds a word."""
        return isinstance(reference, dict) and isinstance(reference.get("word"), str)


TEMPLATE = TinyTemplate()
'''

TEMPLATE_TEST = '''"""The template `tiny`."""

from bedrock_sluice.rewards.templates.base import template_named


def test_a_label_gives_its_word() -> None:
    template = template_named("tiny")
    assert template.from_fields({"word": "yes", "why": "so"}) == {"word": "yes"}
    assert template.from_fields({"why": "so"}) is None
'''

CHECK = """
    {
      "type": "expect_column_values_to_be_in_set",
      "kwargs": {"column": "is_tiny", "value_set": [true]},
      "severity": "critical",
      "meta": {
        "name": "tiny_chats",
        "message": "every line has fewer than 1,000 messages",
        "hint": "Set conversations = \\"first\\" in [curate]"
      }
    },"""

QUERY = """-- How many readable records the window has.
-- Grain:  one row.
-- Input:  landed (tables.LANDED without the bodies); quarantined lines are left out.
-- Params: $since   TIMESTAMPTZ; NULL means open
-- Order:  records (total).
select count(*) as records
from landed
where
    reason is null
    and ($since is null or "timestamp" >= cast($since as timestamptz))
order by records
"""

COMMAND = '''"""`sluice tiny`: a tiny result."""

import typer

from bedrock_sluice.cli.options import epilog

EPILOG = epilog("sluice tiny")


def tiny() -> None:
    """Print a tiny result."""
    typer.echo("tiny")
'''

COMMAND_TEST = '''"""`sluice tiny`."""

from typer.testing import CliRunner

from bedrock_sluice.cli.app import app


def test_it_prints_a_tiny_result() -> None:
    assert CliRunner().invoke(app, ["tiny"]).stdout == "tiny\\n"
'''

REASON_TEST = '''"""The reason `curate_tiny`."""

from conftest import make_exchanges

from bedrock_sluice.transforms.curate.rules import drop_unteachable


def test_a_tiny_prompt_is_dropped() -> None:
    exchanges = make_exchanges([{}, {"prompt_tokens": 1}])
    result = drop_unteachable(exchanges, max_prompt_tokens=100, takes_history=False)
    assert result.rejected["reason"].to_list() == ["curate_tiny"]
'''


class Tree:
    """A copy of the project, and the files that were touched in it, by what was added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched_files: list[str] = []
        for name in project_files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.touched_files.append(name)

    def insert(self, name: str, after: str, text: str) -> None:
        """Insert a text after the first match of a pattern."""
        content = (self.folder / name).read_text(encoding="utf-8")
        match = re.search(after, content, re.MULTILINE)
        assert match, f"{name}: {after}"
        self.write(name, content[: match.end()] + text + content[match.end() :])

    def run(self, *arguments: str) -> None:
        """Run Python in the copy, with the code of the copy."""
        subprocess.run(["make", "-s", ".pkg"], cwd=self.folder, check=True)
        process = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / ".pkg")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-2000:]


def add_body_shape(tree: Tree) -> list[str]:
    tree.write("transforms/readers/text_dialects/tiny_text.py", READER)
    tree.write("tests/transforms/readers/test_tiny_text.py", READER_TEST)
    row = "| `tiny_text` | Tiny | documents | ✓ `test_a_tiny_body_is_read` | – |\n"
    tree.insert("docs/dialects.md", r"^\| dialect \|.*\n\| -.*\n", row)
    return ["tests/transforms/readers/test_tiny_text.py"]


def add_template(tree: Tree) -> list[str]:
    tree.write("rewards/templates/tiny.py", TEMPLATE)
    tree.write("tests/rewards/templates/test_tiny.py", TEMPLATE_TEST)
    label = '\n    "tiny": {"word": "yes"},'
    grading = "tests/rewards/templates/test_grading.py"
    tree.insert(grading, r"^OTHERS.* = \{", label)
    row = '| `tiny` | `{"word": "yes"}` | – | – |\n'
    tree.insert("docs/rewards.md", r"^\| template \|.*\n\| -.*\n", row)
    profiles = f"{grading}::test_lines_pass_the_profiles_of_their_template"
    return ["tests/rewards/templates/test_tiny.py", f"{profiles}[tiny]"]


def add_check(tree: Tree) -> list[str]:
    tree.insert("expectations/suites/lines.json", r'"expectations": \[', CHECK)
    measures = "expectations/measures.py"
    tree.insert(measures, r"^LINE_MEASURES.* = \{", '\n    "is_tiny": pl.Boolean,')
    column = '        "is_tiny": [len(line) < 1000 for line in lines],\n'
    tree.insert(measures, r'(?=^ +"id_number": _number_ids)', column)
    case = '\n    "tiny_chats": [one_with("is_tiny", False)],'
    tree.insert("tests/expectations/test_gate.py", r"^BREAKS.* = \{", case)
    return ["tests/expectations/test_gate.py", "tests/expectations/test_measures.py"]


def add_query(tree: Tree) -> list[str]:
    tree.write("sql/tiny_v1.sql", QUERY)
    case = "tests/sql/tiny_v1/one_record"
    tree.write(f"{case}/landed.jsonl", '{"object": "a.json.gz", "line": 1, "request_id": "r1"}\n')
    tree.write(f"{case}/params.json", "{}\n")
    tree.write(f"{case}/expect.jsonl", '{"records": 1}\n')
    return ["tests/sql"]


def add_command(tree: Tree) -> list[str]:
    tree.write("cli/operations/tiny.py", COMMAND)
    tree.insert("cli/app.py", r"^from bedrock_sluice.cli.operations import \(\n", "    tiny,\n")
    tree.insert("cli/app.py", r'^    "Operations": \(', "tiny, ")
    tree.write("tests/cli/test_tiny.py", COMMAND_TEST)
    tree.insert("docs/operations.md", r"\Z", "\n```console\n$ sluice tiny\n```\n")
    tree.run("tests/house/generated.py", "cli")  # `make readme` also runs the demo
    return ["tests/cli/test_tiny.py"]


def add_reason(tree: Tree) -> list[str]:
    member = '\n    CURATE_TINY = "curate_tiny", "the prompt is tiny"'
    tree.insert("transforms/reasons.py", r"^    GRADE_ZERO_VARIANCE = (?s:.*?)^    \)$", member)
    rule = '\n    (Reason.CURATE_TINY, pl.col("prompt_tokens") < 2),'
    tree.insert("transforms/curate/rules.py", r"^PROMPT_RULES = \(", rule)
    tree.write("tests/transforms/curate/test_tiny.py", REASON_TEST)
    row = "| `curate_tiny` | dropped | the prompt is tiny |\n"
    tree.insert("docs/reasons.md", r"(?s)\A.*\|\n", row)
    return ["tests/transforms/curate/test_tiny.py", "tests/transforms/curate/test_rules.py"]


DOCS = "tests/house/test_docs.py"
DEMO = f"{DOCS}::test_the_readme_shows_what_the_demo_prints"  # slow, and another test's matter
HOUSE = ("tests/house/test_names.py", DOCS, "--deselect", DEMO)

STEPS = {
    "body shape": add_body_shape,
    "template": add_template,
    "check": add_check,
    "query": add_query,
    "command": add_command,
    "reason to drop a record": add_reason,
}


def test_each_section_of_the_page_is_followed_here() -> None:
    assert re.findall(r"^## Add a (.*)", PAGE, re.MULTILINE) == list(STEPS)


@pytest.mark.timeout(600)
def test_a_tree_that_followed_the_steps_passes_its_tests(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "sluice")
    tests = [test for add in STEPS.values() for test in add(tree)]
    tree.run("-m", "pytest", "-p", "no:cacheprovider", "-q", "-x", *tests, *HOUSE)
    folders = {Path(name).parent.as_posix() for name in tree.touched_files}
    text = PAGE.replace("`text_dialects", "`transforms/readers/text_dialects")
    text = text.replace("PANEL", "operations").replace("NAME_v1/CASE", "tiny_v1/one_record")
    assert {folder for folder in folders if f"{folder}/" not in text} == set()
