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

from bedrock_sluice.transforms.privacy import detectors, password_kinds
from bedrock_sluice.transforms.privacy.detectors import (
    BLANKS,
    NO_ASCII_SPACE,
    QUOTES,
    Detector,
    Finding,
    is_after,
    word_starts,
)
from bedrock_sluice.transforms.privacy.password_kinds import ASSIGNED

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
    r"(?P<header>e(?<![\w-]e)(?:yJ|yA|wo|w0)[\w-]{8,}+)"
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

_AWS_ACCESS_KEY = re.compile(r"A(?<![A-Za-z0-9]A)(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}(?![A-Za-z0-9])")
_AWS_KEY = r"""(?<![A-Za-z0-9/+])(?P<key>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"""
_AWS_SECRET_KEY = re.compile(
    rf"""(?:ecret|ECRET)(?P<access>(?i:[_ -]?access))?(?i:[_ -]?key)?(?:[ ]is)?["'`]{{0,4}}\]?
        [ \t]{{0,8}}+[:=>,|]{{0,3}}[ \t]{{0,8}}+["'`]{{0,4}}{_AWS_KEY}""",
    re.VERBOSE,
)
_SECRET_BEFORE = re.compile(r"(?:(?i:aws|amazon)[\w .-]{0,12}|(?<![\w-]))[sS]\Z")
_BESIDE = re.compile(rf"""["'`]{{0,4}}[ \t,;:|/]{{1,4}}["'`]{{0,4}}{_AWS_KEY}""")
_MIN_KEY_BITS = 3.8  # a char; 40 random ones have 4.9 ± 0.1, sentences run together 3.5


def find_aws_keys(text: str) -> Iterator[Finding]:
    """The ids of access keys, and 40 random chars of Base64 after one, or after `secret`."""
    if "AKIA" in text or "ASIA" in text or "ABIA" in text or "ACCA" in text:
        for match in _AWS_ACCESS_KEY.finditer(text):
            yield Finding("aws_access_key", *match.span())
            if (beside := _BESIDE.match(text, match.end())) and _is_aws_key(beside["key"]):
                yield Finding("aws_secret_key", *beside.span("key"))
    if "ecret" in text or "ECRET" in text:
        for match in _AWS_SECRET_KEY.finditer(text):
            is_aws = match["access"] or is_after(_SECRET_BEFORE, match)
            if is_aws and _is_aws_key(match["key"]):
                yield Finding("aws_secret_key", *match.span("key"))


def _is_aws_key(key: str) -> bool:
    has_all = all(re.search(chars, key) for chars in ("[a-z]", "[A-Z]", "[0-9+/]"))
    return has_all and _bits(key) >= _MIN_KEY_BITS


def _bits(text: str) -> float:
    """Shannon's entropy of a char, in bits."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values())


# --- tokens with a form of their own -------------------------------------------------------------

_ALNUM, _WORD = r"[A-Za-z0-9]", r"[\w-]"
_SESSION = r"[A-Za-z0-9+/_%-]{40,8192}+(?:=|%3D){0,2}"
_FORMS: tuple[tuple[str, str], ...] = (
    # AWS: session tokens, Bedrock's API keys
    *((each, _SESSION) for each in ("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", "AQoDYXdz")),
    ("ABSK", r"[A-Za-z0-9+/]{100,512}+={0,2}"),
    ("bedrock-api-key-", r"[A-Za-z0-9+/]{20,4096}+={0,2}"),
    # GitHub, GitLab
    *((f"gh{each}_", rf"{_ALNUM}{{36,255}}+") for each in "opsur"),
    ("github_pat_", r"\w{50,255}+"),
    *(
        (f"gl{each}-", r"[\w-]{20,255}+(?:[.][\w-]{1,40}+){0,2}")
        for each in ("pat", "cbt", "rt", "dt", "ptt", "soat", "ft", "agent", "imt", "oas")
    ),
    # Slack, Discord, Telegram
    *((f"xox{each}-", r"[A-Za-z0-9-]{20,255}+") for each in "abcdeoprs"),
    ("xapp-", r"[A-Za-z0-9-]{20,255}+"),
    # models
    ("sk-", rf"(?={_WORD}{{0,80}}?[0-9]){_WORD}{{20,255}}+"),
    ("hf_", rf"{_ALNUM}{{34,40}}+"),
    ("gsk_", rf"{_ALNUM}{{40,80}}+"),
    ("r8_", rf"{_ALNUM}{{37}}"),
    ("nvapi-", rf"{_WORD}{{50,100}}+"),
    ("pplx-", rf"{_ALNUM}{{40,64}}+"),
    ("xai-", rf"{_ALNUM}{{60,100}}+"),
    # Google
    ("AIza", rf"{_WORD}{{35}}"),
    ("GOCSPX-", rf"{_WORD}{{28}}"),
    ("ya29.", r"[\w.-]{20,512}+"),
    ("1//0", rf"{_WORD}{{40,512}}+"),
    # payments, shops, mail
    *((f"{each}_live_", rf"{_ALNUM}{{16,255}}+") for each in ("pk", "rk", "sk")),
    *((f"{each}_test_", rf"{_ALNUM}{{16,255}}+") for each in ("rk", "sk")),
    ("whsec_", r"[A-Za-z0-9+/]{24,128}+={0,2}"),
    ("sq0atp-", rf"{_WORD}{{22}}"),
    ("sq0csp-", rf"{_WORD}{{43}}"),
    *((f"shp{each}_", r"[a-fA-F0-9]{32}") for each in ("at", "ca", "pa", "ss")),
    ("SG.", rf"{_WORD}{{16,32}}+[.]{_WORD}{{16,64}}+"),
    ("key-", r"[a-f0-9]{32}"),
    # registries, clouds, tools
    ("npm_", rf"{_ALNUM}{{36}}"),
    ("pypi-", rf"{_WORD}{{50,512}}+"),
    ("dckr_pat_", rf"{_WORD}{{20,64}}+"),
    ("rubygems_", r"[a-f0-9]{48}"),
    *((f"do{each}_v1_", r"[a-f0-9]{64}") for each in "opr"),
    *((f"hv{each}.", rf"{_WORD}{{20,300}}+") for each in "bs"),
    ("dapi", r"[a-f0-9]{32}(?:-[0-9])?"),
    ("ATATT3", r"[\w=-]{60,255}+"),
    ("lin_api_", rf"{_ALNUM}{{32,64}}+"),
    ("figd_", rf"{_WORD}{{36,64}}+"),
    ("ntn_", rf"{_ALNUM}{{40,64}}+"),
    ("PMAK-", r"[a-f0-9]{24}-[a-f0-9]{34}"),
    ("NRAK-", r"[A-Z0-9]{27}"),
    ("glsa_", rf"{_ALNUM}{{32}}_[a-f0-9]{{8}}"),
    ("sntrys_", r"[\w+/=-]{40,255}+"),
    ("sbp_", r"[a-f0-9]{40}"),
    ("AGE-SECRET-KEY-1", r"[A-Z0-9]{58}"),
)
"""How keys begin that begin in a way of their own, and how they go on."""
_TOKENS = tuple(
    (start, re.compile(rf"(?P<value>{each}(?<![\w-]{each}){rest})(?![\w-])", re.ASCII))
    for start, rest in _FORMS
    for each in (re.escape(start),)
)
_SLASH = "/{1,4}"  # two of an escaped one
_PLACES = (
    ("hooks.slack.com", rf"slack[.]com{_SLASH}\w{{4,12}}{_SLASH}(?P<value>T{_ALNUM}{{6,14}}+"
     rf"(?:{_SLASH}{_ALNUM}{{6,30}}+){{1,2}}{_SLASH}{_ALNUM}{{16,64}}+)"),
    ("webhooks", rf"webhooks{_SLASH}(?P<value>[0-9]{{15,22}}+{_SLASH}{_WORD}{{50,100}}+)"),
    ("webhookb2", r"webhookb2/{1,4}(?P<value>[\w@/-]{60,255}+)"),
    (":AA", rf"(?P<value>[0-9](?<![\w-][0-9])[0-9]{{7,9}}+:AA{_WORD}{{33}})(?!{_WORD})"),
    (":APA91b", rf"(?P<value>AAAA{_WORD}{{7}}:APA91b{_WORD}{{100,200}}+)"),
    ("Q~", r"(?P<value>\w(?<!\w\w)\w{2}[0-9]Q~[\w.~-]{31,34})(?![\w~-])"),
    ("AC", r"AC[0-9a-f]{32}[\"']{0,4}[,:][ ]?[\"']{0,4}(?P<value>[0-9a-f]{32})(?!\w)"),
    ("code=", rf"[?&\n]code=(?P<value>{_WORD}{{40,100}}+={{0,2}})"),
    ("sig=", r"[?&\n]sig=(?P<value>[A-Za-z0-9%+/]{40,90}+={0,2})"),
    ("-Signature=", r"X-(?:Amz|Goog)-Signature=(?P<value>[a-f0-9]{64,1024}+)"),
    ("-us", r"(?P<value>[a-f0-9](?<!\w[a-f0-9])[a-f0-9]{31}-us[0-9]{1,2})(?!\w)"),
    ("pat", rf"(?P<value>pat{_ALNUM}{{14}}[.][a-f0-9]{{64}})"),
    ("SESSID=", rf"PHPSESSID=(?P<value>{_ALNUM}{{20,64}}+)"),
    ("SESSIONID=", r"JSESSIONID=(?P<value>[\w.-]{20,128}+)"),
)  # fmt: skip
"""What is only a secret where it is: a hint, and the pattern."""
_PLACED = tuple((hint, re.compile(pattern, re.ASCII)) for hint, pattern in _PLACES)

# By the last char of a hint: one char is looked for most quickly.
_BY_LAST = {
    last: tuple(each for each in (*_TOKENS, *_PLACED) if each[0][-1] == last)
    for last in sorted({hint[-1] for hint, _ in (*_TOKENS, *_PLACED)})
}


def find_formed_tokens(text: str) -> Iterator[Finding]:
    """Keys of services that begin, or stand in a URL, in a way of their own."""
    hints = chain.from_iterable(_BY_LAST[last] for last in _BY_LAST if last in text)
    for hint, pattern in hints:
        if hint in text:
            for match in pattern.finditer(text):
                if not _SAME.fullmatch(match["value"][-12:]):
                    yield Finding("token", *match.span("value"))


_SAME = re.compile(r"(.)\1+")  # XXXX, 0000: an example


# --- tokens after their name ---------------------------------------------------------------------

_NAME_ENDS = tuple(
    each
    for word in ("token", "secret", "key", "salt", "bearer")
    for each in (word, word.title(), word.upper())
)
_KEYS_BEFORE = re.compile(
    r"(?i:api|access|account|auth|private|secret|signing|encryption|subscription|session|master"
    r"|shared|sharedaccess|app|consumer|deploy|admin|logged_in|nonce|secure_auth|service|storage)"
    r"[_ -]?\Z"
)
_PAGES_BEFORE = re.compile(
    r"(?i:next|page|continuation|pagination|request|cursor|resume|sync|public_?key)[_-]?\Z"
)
_NO_VARIABLES = re.compile(r"(?:PUBLIC|CACHE|PRIMARY|FOREIGN|PARTITION|SORT|ROW|IDEMPOTENCY)_?\Z")
_NAMED = re.compile(
    rf"""(?P<name>(?i:token|secret|key|salt|bearer))(?:s|_?[0-9])?
        (?:(?:{ASSIGNED})|["'][ ]{{0,8}}+,[ ]{{0,8}}+(?=["'])|[ ]is:?[ ]|(?<=earer)[ ]{{1,4}}+
          |(?<=EARER)[ ]{{1,4}}+)
        (?:["'`]{{1,4}}(?P<quoted>(?:base64:)?[^\s"'`]{{16,4096}}+)["'`]
          |(?:Bearer[ ]|base64:)?(?P<bare>[\w.~+/-]{{16,4096}}+={{0,2}})(?![\w(\[{{]))""",
    re.VERBOSE | re.ASCII,
)
_PATH = re.compile(r"[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+", re.ASCII)
_MAX_PATH_DIGITS = 3
_WORDS = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)*(?:[_-]?[0-9]{1,2})?")
_CASE_CHANGE = re.compile(r"[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_MIN_CASE_CHANGES = 0.4  # a char; random letters have 0.5, the words of a name 0.3
_NAME_CASE_CHANGES = 0.3


def find_named_tokens(text: str) -> Iterator[Finding]:
    """Random values after `Bearer`, or after a name that ends in `token`, `secret`, or `key`."""
    end = 0
    for start in word_starts(text, _NAME_ENDS):
        if start < end or not (match := _NAMED.match(text, start)):
            continue
        end = match.end()
        group = "quoted" if match["quoted"] else "bare"
        if _is_of_secret(match) and _is_random(match[group].removeprefix("base64:")):
            first, stop = match.span(group)
            yield Finding("token", first + 7 * match[group].startswith("base64:"), stop)


def _is_of_secret(match: re.Match[str]) -> bool:
    name, start = match["name"], match.start()
    before = match.string[max(0, start - 16) : start]
    match name.lower():
        case "key" if name == "KEY" and before.endswith("_"):
            return _NO_VARIABLES.search(before) is None
        case "key" | "salt":
            return _KEYS_BEFORE.search(before) is not None
        case "token":
            return _PAGES_BEFORE.search(before) is None
        case _:
            return True


def _is_random(value: str) -> bool:
    """Whether a value is drawn by dice, and is not a path, name, word or variable."""
    changes = len(_CASE_CHANGE.findall(value)) / len(value)
    digits = len(re.findall(r"[0-9]", value))
    if value.isalpha():
        return changes >= _MIN_CASE_CHANGES
    if not digits or not re.search(r"[A-Za-z]", value) or re.match(r"[./<${\[%(]|\w+://", value):
        return False
    is_path = digits <= _MAX_PATH_DIGITS and _PATH.fullmatch(value)
    is_name = changes < _NAME_CASE_CHANGES and (digits == 1 or _WORDS.fullmatch(value))
    return not (is_path or is_name)


# --- cookies -------------------------------------------------------------------------------------

_COOKIE_LINE = re.compile(r"[Cc]ookie[\"']{0,4}[ ]?[:=][^\n]{0,4096}+|COOKIE:[^\n]{0,4096}+")
_COOKIE = re.compile(r"(?P<name>[\w.-]{1,64}+)=(?P<value>[^\s;,\"']{16,4096}+)", re.ASCII)
_OF_SESSION = re.compile(r"(?i:sess|sid|auth|token|csrf|xsrf|jwt|remember|login|logged_in)")


def find_cookies(text: str) -> Iterator[Finding]:
    """Cookies of sessions, in the headers that send or set them."""
    if "ookie" in text or "COOKIE" in text:
        for line in _COOKIE_LINE.finditer(text):
            for match in _COOKIE.finditer(text, *line.span()):
                if _OF_SESSION.search(match["name"]) and _is_random(match["value"]):
                    yield Finding("token", *match.span("value"))


_STARTS = "|".join(
    re.escape(each)
    for start, _ in _FORMS
    for each in ((start, r"1\/0", r"1\\/0") if start == "1//0" else (start,))
)
_NAMES = "|".join(_NAME_ENDS)

DETECTORS = (
    Detector(find_pems, r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY"),
    Detector(find_jwts, r"(?:eyJ|eyA|ewo|ew0)[A-Za-z0-9_-]{8,}\."),
    Detector(
        find_aws_keys,
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"
        r"|(?:ecret|ECRET)(?i:[_ -]?access)?(?i:[_ -]?key)?(?: is)?"
        rf"{BLANKS}[:=>,|]*{BLANKS}[A-Za-z0-9/+\\]{{40}}",
    ),
    Detector(
        find_formed_tokens,
        rf"(?:{_STARTS})[A-Za-z0-9_.+/%=\\-]{{16}}"
        r"|hooks\.slack\.com[/\\]|webhooks[/\\]+[0-9]{15}|webhookb2[/\\]|:APA91b|[0-9]Q~"
        r"|AC[0-9a-f]{32}|code=[A-Za-z0-9_-]{40}|sig=[A-Za-z0-9%+/\\]{40}"
        r"|-Signature=[a-f0-9]{64}|pat[A-Za-z0-9]{14}\.[a-f0-9]|SESSID=[A-Za-z0-9]{20}"
        r"|SESSIONID=[A-Za-z0-9_.-]{20}|[0-9]{8}:AA[A-Za-z0-9_-]{33}|[a-f0-9]{32}-us[0-9]",
    ),
    Detector(
        find_named_tokens,
        rf"(?:{_NAMES})(?:s|_?[0-9])?(?:{detectors.ASSIGNED}|[\"'\\]+ *, *[\"'\\]+| is:? )"
        rf"{QUOTES}(?:Bearer )?{NO_ASCII_SPACE}{{16}}"
        rf"|(?:[Bb]earer|BEARER) +{QUOTES}(?:Bearer )?{NO_ASCII_SPACE}{{16}}",
    ),
    Detector(
        find_cookies,
        r"""(?:[Cc]ookie["'\\]* ?[:=]|COOKIE:)[^\n]*=[^ \t\n\r\x0b\x0c;,"']{16}""",
    ),
    *password_kinds.DETECTORS,
)
