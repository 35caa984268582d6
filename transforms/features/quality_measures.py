"""What text holds that it should not: placeholders, characters that no reader sees, refusals.

Patterns are Rust's, whose matching is linear in the text. Each measure first asks a cheap question
of all texts, and looks closely at the few that it cannot rule out.
"""

import re
from importlib.resources import files

import msgspec
import polars as pl

MAX_REFUSAL_CHARS = 800  # of a response; a longer one says more than no
_REFUSAL_HEAD_CHARS = 400

# Placeholders: what a template holds where a value should be.
# `{{name}}`, `{{ user.name | upper }}`, `{{#each items}}`, `{{{body}}}`; `{% if x %}`;
# `${customer}`; `{customer_name}`, `{customerName}`, and `{question}` and the like by name;
# `<INSERT TEXT>`, `<your-key>`; `[YOUR NAME]`. In capitals, `${HOME}` is a shell's, and `{NAME}` is
# how guardrails mask personal data.
_SLOTS = (
    "name|question|context|input|query|topic|text|document|documents|content|customer|company|"
    "product|language|title|subject|email|date|city|country|history|instructions|passage|"
    "article|message|username|transcript|summary|prompt"
)
_IDENTIFIER = r"[\p{L}_][\p{L}\p{N}_]+"
_PATH = rf"{_IDENTIFIER}(?:[.-][\p{{L}}\p{{N}}_]+)*"
_FORMS = (
    rf"(?:^|[^\\$^={{])\{{\{{\{{?\s*(?:[#/>^&]\s*)?(?:(?:each|if|unless|with) )?{_PATH}"
    r"(?:\s*\|\s*\w+(?:\([^(){}]*\))?)*\s*\}\}",
    r"\{%[-+]?\s*(?:if|elif|else|endif|for|endfor|set|include|block|endblock|extends|macro|"
    r"endmacro|unless|endunless|case|when|assign)\b[^{}%]*%\}",
    r"\$\{\s*[a-z][A-Za-z0-9_]{2,}(?:\.[A-Za-z0-9_]+)*\s*\}",
    rf"(?:^|[^\\0-9A-Za-z_${{}}^#%@&/=~])\{{(?:[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[a-z]+[A-Z]\w*|"
    rf"(?:{_SLOTS}))\}}",
    r"(?:^|[^\w<])<(?i:insert|your)(?:[ _-][A-Za-z'/]+){1,4}>",
    r"(?:^|[^\w\]])\[(?i:insert|your)(?:[ _-][A-Za-z'/]+){1,4}\](?:[^(\[]|$)",
)
_PLACEHOLDER = "|".join(_FORMS)
_MAY_HOLD_ONE = r"\{\{|\{%|\$\{|\{[a-z]\w+\}|[<\[](?i:insert|your)[ _-]"

_ELEMENTS = (
    "html|head|body|div|span|p|a|b|i|ul|ol|li|table|tr|td|th|h[1-6]|button|form|label|img|br|"
    "template|section|main|nav|header|footer|strong|em|option|select|component|slot"
)
_CODE = (
    r"(?s)```.*?(?:```|\z)|~~~.*?(?:~~~|\z)",
    r"(?is)<(?:code|pre|script|style)\b.*?(?:</(?:code|pre|script|style)>|\z)",
    r"`[^`\n]*`",
)
_CODE_LINE = (
    r"(?m)^.*(?:[;{]\s*$|=>|[=!:]=|&&|\|\||->|\s=\s|=\{|\bf[\"']|\$\(|\w\((?:f?[\"']|\))|"
    r"^\s*(?:[\])}]|//)|\b(?:def|function|fn|func) \w+\(|\b(?:const|var|echo|curl|sudo) |"
    rf"\bexport \w+=|</?(?:{_ELEMENTS})\b[^<>]*>).*$"
)
_FORMULA = (
    r"(?s)\$\$.*?(?:\$\$|\z)|\\\[.*?(?:\\\]|\z)|\\\(.*?(?:\\\)|\z)",
    r"\$[^\s${](?:[^$\n]*[^\s$])?\$",
    r"\\[A-Za-z]+\*?(?:\s*\{+[^{}]*\}+)+",
)

# Characters that no reader sees: Unicode's default ignorables, and annotation marks.
_BIDI = r"[\x{202A}-\x{202E}\x{2066}-\x{2069}]"
_HIDDEN = (
    r"[\x{AD}\x{34F}\x{61C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}\x{200B}-\x{200F}"
    r"\x{202A}-\x{202E}\x{2060}-\x{206F}\x{3164}\x{FE00}-\x{FE0F}\x{FEFF}\x{FFA0}"
    r"\x{FFF9}-\x{FFFB}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}\x{E0000}-\x{E0FFF}]"
)
_EMOJI = r"[\p{Extended_Pictographic}\x{1F3FB}-\x{1F3FF}][\x{FE0E}\x{FE0F}]?"
_JOINING_SCRIPTS = (
    r"\p{scx=Arabic}\p{scx=Syriac}\p{Nko}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}"
    r"\p{Oriya}\p{Tamil}\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Myanmar}\p{Tibetan}"
)
_NEEDED = (
    r"\x{1F3F4}\x{E0067}\x{E0062}(?:\x{E0065}\x{E006E}\x{E0067}|\x{E0073}\x{E0063}\x{E0074}"
    r"|\x{E0077}\x{E006C}\x{E0073})\x{E007F}",  # the flags of England, Scotland and Wales
    rf"{_EMOJI}(?:\x{{200D}}{_EMOJI})*",
    r"[\p{S}0-9#*][\x{FE0E}\x{FE0F}]",
    r"\p{Han}[\x{FE00}-\x{FE02}\x{E0100}-\x{E01EF}]",
    rf"[{_JOINING_SCRIPTS}][\x{{200C}}\x{{200D}}]",
    r"\p{Mongolian}[\x{180B}-\x{180F}\x{200C}\x{200D}]",
    r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\x{200B}",  # where a line may break
)
_RIGHT_TO_LEFT = r"[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Thaana}\p{Nko}]"
_DIRECTION_MARK = r"[\x{61C}\x{200E}\x{200F}]"


def _load_refusals() -> tuple[str, str, str]:
    """Return the patterns of refusals, of refusals by an AI, and of what makes one an answer."""
    text = files("bedrock_sluice.transforms.features").joinpath("refusals.json").read_text("utf-8")
    data = msgspec.json.decode(text)
    parts: dict[str, str] = {}

    def fill(patterns: str | list[str]) -> str:
        pattern = patterns if isinstance(patterns, str) else "|".join(patterns)
        return re.sub("<<(\\w+)>>", lambda match: parts[match[1]], pattern)

    for name, patterns in data["parts"].items():
        parts[name] = fill(patterns)  # a part may stand in the parts after it
    refusals = [pattern for patterns in data["refusals"].values() for pattern in patterns]
    return (
        f"^(?:{fill(refusals)})",
        f"^{fill(data['refusals_by_an_ai'])}",
        fill(data["answers_all_the_same"]),
    )


_TEXT = pl.col("text")

# A constant of the package, read once at import: it is reviewed as data, and decides like code.
_REFUSAL, _AI_CANNOT, _BUT_ANSWERS = _load_refusals()


def placeholders(texts: pl.Series) -> pl.Series:
    """Placeholders that were never filled in, as u32; in code and formulas they are none.

    Code is what is fenced, quoted by backticks, or stands in a line that reads like code.
    """
    prose = without_code(_TEXT)
    for pattern in (_CODE_LINE, *_FORMULA):
        prose = prose.str.replace_all(pattern, " ")
    return _count(texts, _MAY_HOLD_ONE, prose.str.count_matches(_PLACEHOLDER))


def without_code(text: pl.Expr) -> pl.Expr:
    """The text without what is marked as code: fences, elements of HTML, backticks."""
    for pattern in _CODE:
        text = text.str.replace_all(pattern, " ")
    return text


def hidden_characters(texts: pl.Series) -> pl.Series:
    """Characters that no reader sees, as u32, but for those that emoji and scripts need.

    Needed are: a joiner between emoji, or after a letter of a script that joins; one variation
    selector after what varies; a space of no width in scripts that set none; and marks of direction
    in a text with letters that run from right to left.
    """
    needless = _TEXT.str.replace_all("|".join(_NEEDED), "")
    has_rtl = _TEXT.str.contains(_RIGHT_TO_LEFT)
    without_marks = needless.str.replace_all(_DIRECTION_MARK, "")
    return _count(
        texts,
        _HIDDEN,
        pl.when(has_rtl).then(without_marks).otherwise(needless).str.count_matches(_HIDDEN),
    )


def bidi_characters(text: pl.Expr) -> pl.Expr:
    """Characters that reorder the text around them, as u32: embeddings, overrides, isolates."""
    return text.str.count_matches(_BIDI)


def is_refusal(responses: pl.Series) -> pl.Series:
    """Whether a response is short and begins by refusing; null refuses nothing."""
    is_short = _TEXT.str.len_bytes() <= 4 * MAX_REFUSAL_CHARS
    head = (
        pl.when(is_short & (_TEXT.str.len_chars() <= MAX_REFUSAL_CHARS))
        .then(_TEXT)
        .str.strip_chars_start("*_# \t\n")
        .str.head(_REFUSAL_HEAD_CHARS)
        .str.to_lowercase()
        .str.replace_all("’", "'", literal=True)
    )
    heads = responses.to_frame("text").select(head)
    flags = heads.select(
        refuses=_TEXT.str.contains(_REFUSAL), is_ai=_TEXT.str.contains(_AI_CANNOT)
    ).fill_null(value=False)
    refuses = flags["refuses"]
    if len(rows := refuses.arg_true()):
        answers = heads[rows].select(_TEXT.str.contains(_REFUSAL + _BUT_ANSWERS)).to_series()
        refuses = refuses.scatter(rows, ~answers)
    return refuses | flags["is_ai"]


def _count(texts: pl.Series, screen: str, count: pl.Expr) -> pl.Series:
    """`count` of the texts that match `screen`, as u32; 0 of the others, null where there is none.

    Compiling patterns takes longer than looking for them, so it is left if no text needs them.
    """
    matches = texts.to_frame("text").select(_TEXT.str.contains(screen)).to_series()
    counts = matches.cast(pl.UInt32)
    if len(rows := matches.arg_true()):
        counts = counts.scatter(rows, texts.gather(rows).to_frame("text").select(count).to_series())
    return counts
