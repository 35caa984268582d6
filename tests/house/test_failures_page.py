"""Every message on `docs/failures.md` is one that the code has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("cli", "flows", "lake", "rewards", "transforms")
GAP = "…"
MINIMUM_CHARACTERS = 12  # of the text of a message between its gaps, at least once


def code_texts() -> Iterator[str]:
    """The texts in the code, but docstrings; what an f-string fills in is a gap."""
    for path in (each for folder in FOLDERS for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.JoinedStr(values=parts):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else GAP for part in parts
                    )
                case ast.Constant(value=str(text)) if "\n" not in text:
                    yield text


def is_in(message: str, texts: list[str]) -> bool:
    """Whether one text has all that stands between the gaps of a message, in its order."""
    pieces = [piece for piece in message.split(GAP) if piece.strip()]
    pattern = re.compile(".*".join(map(re.escape, pieces)))
    return any(pattern.search(text) for text in texts)


def test_every_message_of_the_page_is_in_the_code() -> None:
    page = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(messages) > 20
    assert all(max(map(len, each.split(GAP))) >= MINIMUM_CHARACTERS for each in messages)
    texts = [*code_texts()]
    assert [message for message in messages if not is_in(message, texts)] == []
    assert not is_in("a message that nobody writes", texts)
