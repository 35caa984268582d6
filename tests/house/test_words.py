"""The project's files speak of the project, not of the place where it was made."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# One letter of each word stands in brackets, because this file is read too.
FORBIDDEN = {
    "a folder beside the project": r"\.\./share[d]\b|\.librar[y]\b|(?<![\w.~-])/wor[k]/",
    "a note beside the project": r"bedrock-fact[s]|log-sample[s]|\bbrie[f]\.md",
    "a package registry": r"pyp[i]\.|pythonhoste[d]|npmj[s]\.|artifactor[y]|index-ur[l]|/simpl[e]/",
    "a number of an issue": r"(?i:\bissu[e]) #?\d",
    "work put off": r"\bTOD[O]\b|\bFIXM[E]\b",
}


def project_texts() -> dict[str, str]:
    """The text of each file that git knows or would add; bytes that are not UTF-8 are replaced."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text("utf-8", errors="replace") for name in names}


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_names(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind])
    places = [
        f"{name}:{number}"
        for name, text in project_texts().items()
        for number, line in enumerate((name, *text.splitlines()))  # line 0 is the file's name
        if pattern.search(line)
    ]
    assert places == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("a folder beside the project", "see .." + "/shared/x"),
        ("a folder beside the project", "cat /wor" + "k/main/x"),
        ("a note beside the project", "bedrock-" + "facts.md"),
        ("a package registry", "https://py" + "pi.org/"),
        ("a number of an issue", "see issue" + " #12"),
        ("work put off", "# TO" + "DO: later"),
    ],
)
def test_what_is_forbidden_is_recognised(kind: str, text: str) -> None:
    assert re.search(FORBIDDEN[kind], text)
