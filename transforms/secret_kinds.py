"""What each kind of secret looks like: a cheap pre-check, patterns, and a proof.

Keys with a form of their own are found anywhere; others only beside a word that tells. Patterns
are linear in time on any text, as those of personal data are.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from math import log2

import msgspec

from bedrock_sluice.transforms.personal_data_kinds import Detector, Finding

# --- private keys --------------------------------------------------------------------------------

_BEGIN = r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
_END = r"-----END (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
# A block without an end goes on as long as its lines are those of a key.
_PEM = re.compile(
    rf"{_BEGIN}(?:(?P<body>(?:[^-]|-(?!----))*+){_END}|(?P<rest>(?:\s*+[A-Za-z0-9+/=]{{24,}}+)++))"
)
_KEY_CHARS = re.compile(r"[A-Za-z0-9+/=]")
_MIN_KEY_CHARS = 40


def find_pems(text: str) -> Iterator[Finding]:
    """Blocks of private keys (PEM, OpenSSH, PGP), whole or torn; not of public ones."""
    if "PRIVATE KEY" in text:
        for match in _PEM.finditer(text):
            if len(_KEY_CHARS.findall(match["body"] or match["rest"])) >= _MIN_KEY_CHARS:
                yield Finding("pem", *match.span())


# --- JSON web tokens -----------------------------------------------------------------------------

_JWT = re.compile(
    r"(?<![\w-])(?P<header>(?:eyJ|eyA|ewo|ew0)[\w-]{8,}+)"
    r"(?:(?:[.][\w-]*+){1,3}[.][\w-]++|[.][\w-]++[.])",
    re.ASCII,
)


class _Header(msgspec.Struct):
    alg: str


def find_jwts(text: str) -> Iterator[Finding]:
    """Tokens of three parts (five, if encrypted) whose header is JSON and names its `alg`."""
    if not any(start in text for start in ("eyJ", "eyA", "ewo", "ew0")):
        return
    for match in _JWT.finditer(text):
        try:
            header = base64.urlsafe_b64decode(match["header"] + "===")
            msgspec.json.decode(header, type=_Header)
        except (ValueError, RecursionError):
            continue
        yield Finding("jwt", *match.span())


# --- AWS -----------------------------------------------------------------------------------------

_AWS_ACCESS_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_SECRET_KEY = re.compile(
    r"""(?:(?i:(?:aws|amazon)[\w .-]{0,12}?secret|secret[_ -]?access[_ -]?key|(?<![\w-])secret)
            [\w "'`:=>,-]{0,24}?
          |(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}["'`]?[ \t,;:|/]{1,4}["'`]?)
        (?<![A-Za-z0-9/+])(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])""",
    re.VERBOSE,
)
_MIN_KEY_BITS = 3.8  # a char; 40 random ones have 4.9 ± 0.1, sentences run together 3.5


def find_aws_access_keys(text: str) -> Iterator[Finding]:
    """The ids of access keys; ids of users and roles are none."""
    if "AKIA" in text or "ASIA" in text or "ABIA" in text or "ACCA" in text:
        for match in _AWS_ACCESS_KEY.finditer(text):
            yield Finding("aws_access_key", *match.span())


def find_aws_secret_keys(text: str) -> Iterator[Finding]:
    """40 random chars of base64 after `secret`, or after the id of an access key."""
    if "ecret" not in text and "ECRET" not in text and "IA" not in text:
        return
    for match in _AWS_SECRET_KEY.finditer(text):
        key = match["key"]
        has_all = all(re.search(chars, key) for chars in ("[a-z]", "[A-Z]", "[0-9+/]"))
        if has_all and _bits(key) >= _MIN_KEY_BITS:
            yield Finding("aws_secret_key", *match.span("key"))


def _bits(text: str) -> float:
    """Shannon's entropy of a char, in bits."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values())


# --- tokens --------------------------------------------------------------------------------------

_TOKEN_FORMS = (
    *((f"gh{each}_", r"[A-Za-z0-9]{36,255}+") for each in "opsur"),
    ("github_pat_", r"[A-Za-z0-9_]{50,255}+"),
    ("glpat-", r"[\w-]{20,255}+"),
    *((f"xox{each}-", r"[A-Za-z0-9-]{20,255}+") for each in "abeoprs"),
    ("sk-", r"(?=[\w-]{0,80}?[0-9])[\w-]{20,255}+"),
    ("AIza", r"[\w-]{35}"),
    ("hf_", r"[A-Za-z0-9]{34,40}+"),
    ("npm_", r"[A-Za-z0-9]{36}"),
    *((f"{each}_live_", r"[A-Za-z0-9]{16,255}+") for each in ("pk", "rk", "sk")),
    *((f"{each}_test_", r"[A-Za-z0-9]{16,255}+") for each in ("rk", "sk")),
    ("SG.", r"[\w-]{22}[.][\w-]{43}"),
    ("GOCSPX-", r"[\w-]{28}"),
    ("ya29.", r"[\w-]{20,512}+"),
    *((f"shp{each}_", r"[a-fA-F0-9]{32}") for each in ("at", "ca", "pa", "ss")),
    ("dop_v1_", r"[a-f0-9]{64}"),
    ("pypi-", r"[\w-]{50,512}+"),
    ("ABSK", r"[A-Za-z0-9+/]{100,512}+={0,2}"),
    ("bedrock-api-key-", r"[A-Za-z0-9+/]{20,4096}+={0,2}"),
)
"""How keys begin that begin in a way of their own, and how they go on."""
# By the last char of how they begin, because one char is looked for most quickly.
_TOKENS = {
    last: tuple(
        (start, re.compile(rf"(?<![\w-])(?P<value>{re.escape(start)}{rest})(?![\w-])", re.ASCII))
        for start, rest in _TOKEN_FORMS
        if start[-1] == last
    )
    for last in sorted({start[-1] for start, _ in _TOKEN_FORMS})
}
_BEARER = re.compile(r"(?i:bearer)[ \t]++(?P<value>[\w.~+/-]{16,4096}+={0,2})", re.ASCII)
_NAMED_TOKEN = re.compile(
    r"""(?i:(?:api|access|account|auth|private|signing|encryption|subscription)[_-]?(?:key|token)
           |(?:client|app|consumer|shared|webhook)[_-]?secret|secret[_-]?(?:access[_-]?)?key
           |(?<![a-z_-])(?:token|secret))
        ["'`]*+[ \t]*+(?:=(?!=)|:=?|[ ]is[ ])[>*]{0,2}[ \t]*+
        (?P<open>["'`]*+)(?P<value>[\w.~+/-]{16,4096}+={0,2})(?![\w(\[{])""",
    re.VERBOSE | re.ASCII,
)
_NAMED = ("key", "KEY", "Key", "oken", "OKEN", "ecret", "ECRET")
_PATH = re.compile(r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+", re.ASCII)
_MAX_PATH_DIGITS = 3
_WORDS = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)*(?:[_-]?[0-9]{1,2})?")
_CASE_CHANGE = re.compile(r"[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_MIN_CASE_CHANGES = 0.4  # a char; random letters have 0.5, the words of a name 0.3
_NAME_CASE_CHANGES = 0.3


def find_tokens(text: str) -> Iterator[Finding]:
    """Keys of services: those that begin in a known way, after `Bearer`, or after their name."""
    for start, pattern in chain.from_iterable(_TOKENS[last] for last in _TOKENS if last in text):
        if start in text:
            for match in pattern.finditer(text):
                yield Finding("token", *match.span("value"))
    if "earer" in text or "EARER" in text:
        yield from _random_ones(_BEARER, text)
    if any(word in text for word in _NAMED):
        yield from _random_ones(_NAMED_TOKEN, text)


def _random_ones(pattern: re.Pattern[str], text: str) -> Iterator[Finding]:
    for match in pattern.finditer(text):
        if _is_random(match["value"]):
            yield Finding("token", *match.span("value"))


def _is_random(value: str) -> bool:
    """Whether a value is drawn by dice, and is no path, name or word."""
    changes = len(_CASE_CHANGE.findall(value)) / len(value)
    digits = len(re.findall(r"[0-9]", value))
    if value.isalpha():
        return changes >= _MIN_CASE_CHANGES
    if not digits or not re.search(r"[A-Za-z]", value) or value.startswith(("/", "./")):
        return False
    is_path = digits <= _MAX_PATH_DIGITS and _PATH.fullmatch(value)
    is_name = changes < _NAME_CASE_CHANGES and (digits == 1 or _WORDS.fullmatch(value))
    return not (is_path or is_name)


# --- passwords -----------------------------------------------------------------------------------

_TELLING = (
    r"(?i:password|passwd|passphrase|passcode|pwd|(?<=_)pass|passwort|kennwort|wachtwoord|senha"
    r"|contraseña|mot de passe)"
)
_TELLING_HINTS = ("pass", "pwd", "kennwort", "wachtwoord", "senha", "contraseña")
_QUOTED = re.compile(  # password = "…", "password": "…"
    rf"""{_TELLING}["'`]*+[ \t]*+(?:=(?!=)|:=?|[ ]is:?[ ])[>*]{{0,2}}[ \t]*+["'`]++"""
    r"""(?P<value>[^\s"'`]{4,128}+)["'`]"""
)
_BARE_CHARS = r"""[^\s"'`<>,;&|]"""
_BARE = re.compile(  # PASSWORD=…, password: …, <password>…, --password …
    rf"""(?:{_TELLING}["'`]*+(?:[ \t]*+(?:=(?!=)|:=?)[>*]{{0,2}}[ \t]*+|>)|--password[ ](?!-))"""
    rf"(?P<value>{_BARE_CHARS}{{6,128}}+)"
)
_SAID = re.compile(rf"{_TELLING} is:? (?P<value>{_BARE_CHARS}{{6,128}}+)")
# A password should be percent-encoded here, and often is not; digits after the colon are a port.
_IN_URL = re.compile(
    r"""://[^\s:/?#@"'<>]{0,64}+:(?![0-9]{1,5}[/?#])(?P<value>[^\s/"'<>]{3,128})@(?=[\w\[])"""
)
_BASIC = re.compile(r"(?i:basic)[ ]++(?P<value>[A-Za-z0-9+/]{8,512}+={0,2})")

_STAND_IN = re.compile(
    r"""[*•x.\-_\#…?]+ | [<$%\{\[(].* | .*[(\[{].* | https?://.* | [.~]?/.*
        | (?:your|enter)[-_ ].* | (?:your|my|the|new|old|some)[-_ ]?pass.*
        | (?:\w*_)?(?:password|passwd|passwort|pwd|pass|passphrase)_?
        | str(?:ing)? | text | hidden | secret | none | null | nil | true | false | undefined
        | optional | required | redacted | masked | placeholder | example | change-?me | invalid
        | incorrect | wrong | missing | user | bytes | input | varchar | char | object | boolean
        | number | integer | contraseña | kennwort | wachtwoord | senha
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What stands where a password would: stars, a variable, a path, a type, a word of a form."""
_NAME = re.compile(r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+|[A-Za-z]+(?:_\w+)+")
_TECHNICAL = re.compile(
    r"(?i:sha|md5|base|utf|aes|rsa|bcrypt|argon|pbkdf|v|rfc|iso)-?\d.*|\d+-?[a-z]+"
)
_MIN_BARE = 6  # chars


def find_passwords(text: str) -> Iterator[Finding]:
    """What is set or said to be a password, the password in a URL, and that of `Basic`.

    Without quotes it must look like one: letters, and digits or signs.
    """
    lower = text.lower()
    if any(word in lower for word in _TELLING_HINTS):
        quoted = (each.span("value") for each in _QUOTED.finditer(text) if _is_set(each["value"]))
        bare = map(_bare_span, chain(_BARE.finditer(text), _SAID.finditer(text)))
        yield from (Finding("password", *span) for span in chain(quoted, filter(None, bare)))
    if "://" in text and "@" in text:
        for match in _IN_URL.finditer(text):
            if _is_set(match["value"]):
                yield Finding("password", *match.span("value"))
    if "basic " in lower:
        yield from _basic(text)


def _is_set(value: str) -> bool:
    return _STAND_IN.fullmatch(value) is None


def _bare_span(match: re.Match[str]) -> tuple[int, int] | None:
    """Where a bare value is, without the sentence's end; None if it is a word, name or call."""
    value = match["value"].rstrip(".:)]}")
    has_both = re.search(r"[A-Za-z]", value) and re.search(r"[0-9!@#$%^*?+~]", value[:-1])
    is_word = _NAME.fullmatch(value) or (match.re is _SAID and _TECHNICAL.fullmatch(value))
    if len(value) < _MIN_BARE or not has_both or is_word or not _is_set(value):
        return None
    return match.start("value"), match.start("value") + len(value)


def _basic(text: str) -> Iterator[Finding]:
    for match in _BASIC.finditer(text):
        try:
            told = base64.b64decode(match["value"], validate=True).decode()
        except ValueError:
            continue
        if ":" in told and told.isprintable():
            yield Finding("password", *match.span("value"))


SECRETS = ("pem", "jwt", "aws_secret_key", "aws_access_key", "token", "password")
"""Where findings overlap, the kind that stands first wins."""

DETECTORS: tuple[Detector, ...] = (
    find_pems,
    find_jwts,
    find_aws_secret_keys,
    find_aws_access_keys,
    find_tokens,
    find_passwords,
)
