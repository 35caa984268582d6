"""Whether the readers of RFT datasets would take a file: every profile's verdict on every line.

Findings hold rules and line numbers, never content.
"""

from codecs import BOM_UTF8
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from bedrock_sluice.rewards.conformance.line_text import Fault, decode_line, foreign_shape
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile, Rule, Severity
from bedrock_sluice.transforms.chat.messages import JsonObject
from bedrock_sluice.transforms.decode.lines import GZIP_MAGIC

MAX_LINES_TOLD = 5  # numbers of lines that are kept for each rule
WHOLE_FILE = 0  # the line number of what no one line is to blame for

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

EMPTY = Fault("empty", "the file has no lines", "name a file with lines in it")
GZIP = Fault("gzip", "the file is compressed", "decompress it: a job takes plain JSON lines")
UTF16 = Fault("utf16", "the file is UTF-16", "write it as UTF-8")
BOM = Fault("bom", "the file begins with a byte order mark", "write it as UTF-8 without one")
ARRAY = Fault(
    "array", "the file is a JSON array over several lines", "write one object on each line"
)
PRETTY = Fault("pretty-printed", "objects spread over several lines", "write each on one line")
BLANK_LINE = Fault("blank-line", "a line is blank, which readers line by line refuse", "drop it")
CRLF = Fault("crlf", "a line ends in CR LF", "end lines in LF alone", "warning")
REPEATED_ID = Fault(
    "repeated-id",
    "a line has the id of an earlier one: their rewards can't be told apart",
    "give each line an id of its own",
    "warning",
)
REPEATED_LINE = Fault(
    "repeated-line", "a line is the same as an earlier one", "keep one of them", "warning"
)

LAYOUT_FAULTS = (GZIP, BOM, ARRAY, PRETTY, BLANK_LINE, CRLF)  # of the file, whatever its lines say


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that was broken: how often, and the first lines (from 1; 0 is the whole file)."""

    rule: str
    severity: Severity
    message: str
    hint: str
    count: int
    lines: tuple[int, ...]


@dataclass(slots=True)
class _Tally:
    """What was found, by rule in order of appearance: counts, and a few line numbers each."""

    prefix: str
    rules: dict[str, tuple[Fault | Rule, list[int]]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: Fault | Rule, line: int) -> None:
        if what.name not in self.counts:
            self.rules[what.name] = (what, [])
            self.counts[what.name] = 0
        self.counts[what.name] += 1
        lines = self.rules[what.name][1]
        if len(lines) < MAX_LINES_TOLD:
            lines.append(line)

    def findings(self) -> tuple[Violation, ...]:
        """Errors first, then warnings, each in order of appearance."""
        violations = [
            Violation(
                f"{self.prefix}/{name}",
                what.severity,
                what.message,
                what.hint,
                self.counts[name],
                tuple(lines),
            )
            for name, (what, lines) in self.rules.items()
        ]
        return tuple(sorted(violations, key=lambda each: each.severity))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one profile says; `passing` lines break none of its rules that are errors."""

    profile: Profile
    passing: int
    findings: tuple[Violation, ...]
    is_passed: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A file judged. `lines` are those that are not blank; `findings` hold for every profile."""

    lines: int
    findings: tuple[Violation, ...]
    verdicts: tuple[Verdict, ...]

    def verdict(self, name: str) -> Verdict:
        """The verdict of the profile of that name, which was asked for."""
        return next(verdict for verdict in self.verdicts if verdict.profile.name == name)


class _Judge:
    """Takes the lines one after the other; holds a digest of each, and no content."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.profiles = profiles
        self.file = _Tally("file")
        self.tallies = [_Tally(profile.name) for profile in profiles]
        self.passing = [0] * len(profiles)
        self.lines = 0
        self.is_whole = True  # whether the file has lines that can be counted
        self.reads_prompts = _read_prompts(profiles)
        self.first = JsonObject()  # the first line, whose keys the others must have
        self._seen = set[bytes]()
        self._ids = set[bytes]()

    def take(self, number: int, raw: bytes) -> None:
        """Judge a line with its number."""
        text = raw.strip(b" \t\r\n")
        if raw.endswith(b"\r\n"):
            self.file.add(CRLF, number)
        if not text:
            self.file.add(BLANK_LINE, number)
            return
        self.lines += 1
        line = decode_line(text)
        if isinstance(line, dict):
            line_id = line.get("id")
            if _is_seen(text, self._seen):
                self.file.add(REPEATED_LINE, number)
            elif isinstance(line_id, str) and _is_seen(line_id.encode(), self._ids):
                self.file.add(REPEATED_ID, number)  # a repeated line has the same id anyway
            foreign = foreign_shape(line)
            if foreign is None or self.reads_prompts:
                self._judge(number, ParsedLine.of(line))
                return
            line = foreign
        self.file.add(line, number)

    def _judge(self, number: int, parsed_line: ParsedLine) -> None:
        self.first = self.first or parsed_line.line
        for place, profile in enumerate(self.profiles):
            passes = True
            for key in profile.all_or_none:
                if (key in parsed_line.line) != (key in self.first):
                    self.tallies[place].add(_in_some(key), number)
                    passes = False
            for rule in profile.rules:
                if rule.is_broken(parsed_line):
                    self.tallies[place].add(rule, number)
                    passes = passes and rule.severity != "error"
            self.passing[place] += passes

    def report(self) -> Report:
        """The outcome; after the last line."""
        if not self.lines:
            self.file.add(EMPTY, WHOLE_FILE)
        file_findings = self.file.findings()
        is_bad_file, verdicts = _has_error(file_findings), list[Verdict]()
        for profile, tally, passing in zip(self.profiles, self.tallies, self.passing, strict=True):
            if self.is_whole and (fault := _number_fault(profile, self.lines)):
                tally.add(fault, WHOLE_FILE)
            findings = tally.findings()
            is_passed = not is_bad_file and not _has_error(findings)
            verdicts.append(Verdict(profile, passing, findings, is_passed))
        return Report(self.lines, file_findings, tuple(verdicts))


def check_lines(lines: Iterable[bytes], profiles: Sequence[Profile]) -> Report:
    """Judge a file by its lines, as they stand in it, with their ends.

    A file that is not made of lines (compressed, UTF-16, one array, pretty-printed) is judged by
    its first line alone.
    """
    judge = _Judge(profiles)
    for number, raw in enumerate(lines, start=1):
        text = raw
        if number == 1 and raw.startswith(BOM_UTF8):
            judge.file.add(BOM, number)
            text = raw.removeprefix(BOM_UTF8)
        fault = _layout_fault(text) if not judge.lines else None
        if fault:
            judge.file.add(fault, number)
            judge.lines, judge.is_whole = 1, False
            break
        judge.take(number, text)
    return judge.report()


def line_errors(line: JsonObject, profiles: Sequence[Profile]) -> list[str]:
    """The rules that a line breaks and must not, as `profile/rule`."""
    foreign = foreign_shape(line)
    if foreign and not _read_prompts(profiles):
        return [f"file/{foreign.name}"]
    parsed_line = ParsedLine.of(line)
    return [
        f"{profile.name}/{rule.name}"
        for profile in profiles
        for rule in profile.rules
        if rule.severity == "error" and rule.is_broken(parsed_line)
    ]


def _layout_fault(first: bytes) -> Fault | None:
    """What makes a file something else than JSON lines, told by its first line with text."""
    if first.startswith(GZIP_MAGIC):
        return GZIP
    if first.startswith(_UTF16_BOMS):
        return UTF16
    text = first.strip()
    if text == b"{":  # as `json.dumps(…, indent=2)` and `jq` begin
        return PRETTY
    return ARRAY if text.startswith(b"[") and not text.endswith(b"]") else None


def _number_fault(profile: Profile, lines: int) -> Fault | None:
    if profile.min_lines is not None and lines < profile.min_lines:
        message = f"the file has {lines:,} of the {profile.min_lines:,} lines that a job asks for"
        return Fault("too-few-lines", message, "add lines")
    if profile.max_lines is not None and lines > profile.max_lines:
        message = f"the file has {lines:,} lines, and a job takes {profile.max_lines:,}"
        return Fault("too-many-lines", message, "leave lines out")
    return None


def _read_prompts(profiles: Sequence[Profile]) -> bool:
    return bool(profiles) and all(profile.reads_prompt for profile in profiles)


def _in_some(key: str) -> Fault:
    message = f"`{key}` is in some lines only, and this reader refuses the whole dataset"
    return Fault(f"{key}-in-some".replace("_", "-"), message, "give it to all lines, or to none")


def _has_error(findings: Iterable[Violation]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _is_seen(text: bytes, digests: set[bytes]) -> bool:
    """Whether a text was seen before; from now on it was."""
    digest = blake2b(text, digest_size=16).digest()
    if digest in digests:
        return True
    digests.add(digest)
    return False
