"""Checking and repairing whole files: what the command line and the Python API do to a file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from bedrock_sluice.lake.files import replaced_file
from bedrock_sluice.rewards.conformance.check import Report, Violation, check_lines
from bedrock_sluice.rewards.conformance.fixes import fix_lines
from bedrock_sluice.rewards.conformance.profile import Fix, Profile
from bedrock_sluice.rewards.profiles import profile_named, profiles
from bedrock_sluice.transforms.decode.lines import MAX_LINE_BYTES, MAX_OBJECT_BYTES, read_lines
from bedrock_sluice.transforms.errors import ConfigError, InputError, OutsideError

REJECTS_SUFFIX = ".rejects"


class FileCheck(NamedTuple):
    """The report on a file, and whether it passes the profiles that it must pass."""

    report: Report
    is_passed: bool

    @property
    def lines(self) -> int:
        """The number of lines that are not blank."""
        return self.report.lines

    @property
    def findings(self) -> list[Violation]:
        """The findings on the file as a whole, then those of each profile (`<profile>/<rule>`)."""
        by_profile = [verdict.findings for verdict in self.report.verdicts]
        return [*self.report.findings, *chain.from_iterable(by_profile)]

    @property
    def profiles(self) -> dict[str, bool]:
        """Whether the file passes, by profile."""
        return {verdict.profile.name: verdict.is_passed for verdict in self.report.verdicts}


class FixCount(NamedTuple):
    """One kind of repair, whether it loses data, and the number of lines that it changed."""

    message: str
    loses: bool
    lines: int


class FixSummary(NamedTuple):
    """The files of a repair, and the number of lines in each; `rejects` is None without any."""

    out: str
    lines: int
    rejects: str | None
    rejected: int
    fixes: list[FixCount]


def select_profiles(names: Sequence[str]) -> tuple[list[Profile], list[Profile]]:
    """Return the profiles to check against, and those that a file must pass.

    Named profiles must all pass. Without names, every profile gives a verdict, and one platform
    has to pass: the validators contradict each other, and no file suits every grader.

    Raises:
        ConfigError: there is no profile of a name.
    """
    if names:
        selection = [profile_named(name) for name in dict.fromkeys(names)]
        return selection, selection
    everything = list(profiles().values())
    return everything, [profile for profile in everything if profile.kind == "platform"]


def check_file(path: Path, names: Sequence[str] = ()) -> FileCheck:
    """Check a file of JSON lines against profiles; see `select_profiles`.

    Raises:
        ConfigError: there is no such file or profile.
        OutsideError: the file can't be read.
    """
    selection, must_pass = select_profiles(names)
    with _open_lines(path) as file:
        report = check_lines(_bounded_lines(file), selection)
    verdicts = [report.verdict(profile.name) for profile in must_pass]
    return FileCheck(report, (all if names else any)(verdict.is_passed for verdict in verdicts))


def fix_file(path: Path, out: Path, names: Sequence[str] = ()) -> FixSummary:
    """Write a repaired copy of a file, and beside it the lines that can't be fixed.

    Lines are repaired for the profiles that the file must pass.

    Raises:
        ConfigError: `path` or `out` is not a regular file, they are the same, or the file is not
            JSON lines at all.
        OutsideError: the copy can't be written.
    """
    if not path.is_file():
        raise ConfigError(f"{path} is not a regular file, and it is read twice; write it to one")
    out = out.resolve()  # a link stays a link
    rejects = out.with_name(out.name + REJECTS_SUFFIX)
    for target in (out, rejects):
        if target.exists() and not target.is_file():
            raise ConfigError(f"{target} is not a regular file; name one to write the copy to")
        if target.exists() and target.samefile(path):
            raise ConfigError(f"{target} is the input file; write the copy elsewhere")
    with _open_lines(path) as file:
        content = file.read(MAX_OBJECT_BYTES + 1)
    if len(content) > MAX_OBJECT_BYTES:
        raise ConfigError(
            f"{path} is over {MAX_OBJECT_BYTES:,} bytes; split it before you use --fix"
        )
    _, must_pass = select_profiles(names)
    try:
        lines = list(fix_lines(read_lines(content), must_pass))
    except InputError as error:
        raise ConfigError(f"{path} can't be fixed: {error}") from None
    kept = [line.text for line in lines if line.text is not None]
    rows = [
        {"line": line.line, "rules": line.rules, "text": line.raw.decode(errors="backslashreplace")}
        for line in lines
        if line.text is None
    ]
    _write(out, kept)
    if rows or rejects.exists():  # those of an earlier run must not stay
        _write(rejects, [msgspec.json.encode(row) for row in rows])
    counts = Counter[Fix](fix for line in lines for fix in line.fixes)
    fixes = [FixCount(fix.message, fix.loses, number) for fix, number in counts.items()]
    return FixSummary(str(out), len(kept), str(rejects) if rows else None, len(rows), fixes)


@contextmanager
def _open_lines(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{path} does not exist; name a file of JSON lines") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name a file in it, such as train.jsonl") from None
    except OSError as error:
        raise OutsideError(f"{path}: {error.strerror}") from None


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, each cut to a length that shows whether it is too long."""
    limit = MAX_LINE_BYTES + 2  # so that a cut line is over the limit even without its line end
    while line := file.readline(limit):
        yield line
        while len(line) == limit and not line.endswith(b"\n"):
            line = file.readline(limit)


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with replaced_file(path) as file:
        file.writelines(line + b"\n" for line in lines)
