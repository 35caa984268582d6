"""What each kind of personal data looks like: a cheap prefilter, patterns, and a proof.

Patterns are linear in time on any text: runs are possessive, repeats are bounded, and nothing
begins inside what it would have been a part of.
"""

import re
from collections.abc import Iterator
from itertools import accumulate, chain

from stdnum import iban, luhn

from bedrock_sluice.transforms.privacy.detectors import (
    NON_ASCII,
    Detector,
    Finding,
    any_case,
    has_any,
    is_after,
    not_after,
)

_SEPARATOR = r"[ .\-/\u00a0\u202f\u2010\u2011]"

# Seven digits with little between them, or two before a few groups: a text without has no number
# that is told here. The pattern begins with a digit, for those are few and looked for quickly.
_NUMBER = re.compile(
    r"""[0-9](?:(?:[ .()\-/\u00a0\u202f\u2010\u2011]{0,3}[0-9]){6}
          |[0-9](?<=[A-Za-z]{2}[0-9]{2})(?:[ \-\u00a0]?[A-Za-z0-9]{4}){2}
           [ \-\u00a0]?[A-Za-z0-9]{3})""",
    re.VERBOSE,
)
_DIGITS = re.compile(r"[0-9]+")
_NO_DIGITS = re.compile(r"[^0-9]+")


# --- e-mail --------------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"""(?<!\w)(?<!\w[.%+'-]) (?P<local>\w{1,64}+(?:[.%+'-]\w{1,64}+){0,16}+) @
        (?>(?:[^\W_][\w-]{0,62}+\.){1,8} (?P<top>(?i:xn)--[A-Za-z0-9-]{2,59}+|[^\W\d_]{2,24}+))
        (?![\w@(\[]|-\w|:[~/])""",  # a call or an index is code, a colon and a path are scp
    re.VERBOSE,
)
_FILE_ENDINGS = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "pdf", "css", "js"})
_MAX_EMAIL = 254


def find_emails(text: str) -> Iterator[Finding]:
    """Addresses at a host with a dot; not those of git, of scp, or `icon@2x.png`."""
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        is_file = match["top"].lower() in _FILE_ENDINGS
        if match["local"] != "git" and not is_file and len(match[0]) <= _MAX_EMAIL:
            yield Finding("email", *match.span())


# --- cards ---------------------------------------------------------------------------------------

# First digits from, to, and the lengths that the issuer uses.
_ISSUERS = (
    ("4", "4", (13, 16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("3095", "3095", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("3528", "3589", (16, 19)),
    ("6011", "6011", (16, 19)),
    ("644", "649", (16, 19)),
    ("65", "65", (16, 19)),
    ("62", "62", (16, 17, 18, 19)),
    ("60", "60", (16,)),
    ("81", "82", (16,)),
    ("2200", "2204", (16, 19)),
    ("5018", "5018", (12, 13, 14, 15, 16, 19)),
    ("5020", "5020", (12, 13, 14, 15, 16, 19)),
    ("5038", "5038", (12, 13, 14, 15, 16, 19)),
    ("6304", "6304", (12, 13, 14, 15, 16, 19)),
    ("6759", "6763", (12, 13, 14, 15, 16, 19)),
)
# Not in a longer number, a fraction, an id, or the path of a URL. Looking back comes after the
# first digit, because a pattern that begins with a set of chars is looked for quickly.
_CARD_START = r"[2-8](?<![\w-][0-9])(?<!\w/[0-9])(?<![0-9][.][0-9])"
_CARD_END = r"(?!\w|[.][0-9]|-\w)"
_FOURS = (
    rf"{_CARD_START}(?<![0-9]{{4}}[ -][0-9])"
    r"[0-9]{3}(?P<s>[ -])(?:[0-9]{4}(?P=s)){2}[0-9]{4}"
)
_CARDS = tuple(
    re.compile(pattern + _CARD_END)
    for pattern in (
        rf"{_CARD_START}[0-9]{{13,15}}+",
        rf"{_FOURS}(?!(?P=s)[0-9]{{4}}(?![0-9]))",  # more groups are a row of numbers
        rf"{_FOURS}(?P=s)[0-9]{{3}}",
        rf"{_CARD_START}[0-9]{{3}}(?P<s>[ -])[0-9]{{6}}(?P=s)[0-9]{{4,5}}",
    )
)
# Lengths that are rare for cards and common for ids.
_BARE_CARD = re.compile(rf"{_CARD_START}[0-9]{{11,18}}+{_CARD_END}")
_CARD_WORD = re.compile(r"(?i:card|visa|maestro|karte|tarjeta|carte|\bpan)[^0-9\n]{0,20}+\Z")
_CARD_HINTS = ("card", "visa", "maestro", "karte", "tarjeta", "carte", "pan")


def _cards(text: str) -> Iterator[Finding]:
    """Payment cards: an issuer's first digits and length, and Luhn's check digit."""
    matches = chain.from_iterable(pattern.finditer(text) for pattern in _CARDS)
    if has_any(text.casefold(), _CARD_HINTS):
        bare = (each for each in _BARE_CARD.finditer(text) if is_after(_CARD_WORD, each))
        matches = chain(matches, bare)
    for match in matches:
        digits = _NO_DIGITS.sub("", match[0])
        if _is_issued(digits) and luhn.is_valid(digits):
            yield Finding("card", *match.span())


def _is_issued(digits: str) -> bool:
    return any(
        low <= digits[: len(low)] <= high and len(digits) in lengths
        for low, high, lengths in _ISSUERS
    )


# --- bank accounts -------------------------------------------------------------------------------

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
# Digits first: most texts have few of them, and the letters before can be looked back at.
_IBAN_DIGITS = re.compile(
    r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?<![A-Za-z0-9][A-Za-z]{2}[0-9]{2})"
    r"(?<![0-9A-Fa-f]-[A-Za-z]{2}[0-9]{2})"  # else it is the end of a UUID
)
_IBAN_END = r"(?!-?[A-Za-z0-9])"  # else it is the beginning of one
_IBANS = {
    length: re.compile(
        rf"[A-Za-z]{{2}}[0-9]{{2}}(?:[ \-\u00a0]?[A-Za-z0-9]{{4}}){{{length // 4 - 1}}}"
        rf"[ \-\u00a0]?[A-Za-z0-9]{{{length % 4}}}{_IBAN_END}"
        if length % 4
        else rf"[A-Za-z]{{2}}[0-9]{{2}}(?:[ \-\u00a0]?[A-Za-z0-9]{{4}}){{{length // 4 - 1}}}"
        rf"{_IBAN_END}"
    )
    for length in set(_IBAN_LENGTHS.values())
}


def _ibans(text: str) -> Iterator[Finding]:
    """Account numbers of the length and form of their country whose remainder by 97 is 1."""
    for digits in _IBAN_DIGITS.finditer(text):
        start = digits.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        match = _IBANS[length].match(text, start) if length else None
        # Without the rules of each country: they reject accounts of banks that are new to them.
        if match and iban.is_valid(re.sub(r"[^A-Za-z0-9]", "", match[0]), check_country=False):
            yield Finding("iban", *match.span())


# --- US social security numbers ------------------------------------------------------------------

_AREA = r"[0-8](?<![\w-][0-9])(?<![0-9][./][0-9])[0-9]{2}(?<!000)(?<!666)"
_SSN = re.compile(rf"{_AREA}-(?!00)[0-9]{{2}}-(?!0000)[0-9]{{4}}(?![\w-]|[.][0-9])")
_BARE_SSN = re.compile(rf"{_AREA}[ -]?(?!00)[0-9]{{2}}[ -]?(?!0000)[0-9]{{4}}(?![\w-]|[.][0-9])")
_SSN_WORD = re.compile(r"(?i:ssn|social security)[a-zA-Z :#.=\"'>]{0,20}+\Z")


def _us_ssns(text: str) -> Iterator[Finding]:
    """`123-45-6789` with parts that are given out; with blanks or bare only beside `SSN`."""
    if "-" in text:
        for match in _SSN.finditer(text):
            yield Finding("us_ssn", *match.span())
    if has_any(text.casefold(), ("ssn", "social security")):
        for match in _BARE_SSN.finditer(text):
            if is_after(_SSN_WORD, match):
                yield Finding("us_ssn", *match.span())


# --- phones --------------------------------------------------------------------------------------

# Digits after the country code, at least and at most, by the numbering plans.
_PLANS = {
    "1": (10, 10), "7": (10, 10), "20": (8, 10), "27": (9, 9), "30": (10, 10), "31": (9, 9),
    "32": (8, 9), "33": (9, 9), "34": (9, 9), "36": (8, 9), "39": (8, 11), "40": (9, 9),
    "41": (9, 9), "43": (7, 12), "44": (9, 10), "45": (8, 8), "46": (7, 10), "47": (8, 8),
    "48": (9, 9), "49": (7, 11), "51": (8, 9), "52": (10, 11), "53": (8, 8), "54": (10, 11),
    "55": (10, 11), "56": (9, 9), "57": (8, 10), "58": (10, 10), "60": (8, 10), "61": (9, 9),
    "62": (8, 12), "63": (8, 10), "64": (8, 10), "65": (8, 8), "66": (8, 9), "81": (9, 10),
    "82": (8, 10), "84": (9, 10), "86": (10, 11), "90": (10, 10), "91": (10, 10), "92": (9, 10),
    "93": (9, 9), "94": (9, 9), "95": (8, 10), "98": (10, 10), "234": (8, 10), "353": (7, 9),
    "358": (6, 11), "880": (8, 10), "966": (8, 9), "971": (8, 9), "972": (8, 9),
}  # fmt: skip
_OTHER_PLAN = (7, 9)
_OTHER_CODES = re.compile(
    r"2(?:1[1-8]|[2346]\d|5[0-8]|9[01789])|3(?:5\d|7[0-8]|8[0-35-79])|42[013]|5[09]\d"
    r"|6(?:7[02-9]|8\d|9[0-2])|8(?:5[02356]|70|86)|9(?:6\d|7[0-7]|9[2-68])"
)
_REST = rf"(?P<number>\(?[1-9](?:{_SEPARATOR}?\(?[0-9]\)?){{6,24}}+)(?![0-9A-Za-z_])"
# Not in another number, and not in a row of numbers.
_NO_ROW = r"(?<![\w.+/-]{0})(?<![0-9][ \t]{0})(?<![0-9][ \t,][ \t]{0})"
_PLUS = re.compile(rf"\+(?<![\w+)\]]\+){_REST}")
_ZEROS = re.compile(
    rf"00{_NO_ROW.format('00')}"
    rf"[ -]?(?=[1-9][0-9]{{0,2}}{_SEPARATOR}){_REST}"
)
_TRUNK_ZERO = re.compile(r"\(0\)")
_NATIONAL = (
    # North America: (415) 555-0123, 415-555-0123, 415.555.0123, each maybe after a 1.
    re.compile(
        r"(?<![\w.+/-])(?:1[ .-])?"
        r"(?:\([2-9][0-8][0-9]\)[ -]?[0-9]{3}[ .-]|[2-9][0-8][0-9](?P<s>[.-])[0-9]{3}(?P=s))"
        r"[0-9]{4}(?!\w|[.-][0-9A-Za-z]| ?[=^]| \*)"
    ),
    # Brazil: (11) 91234-5678.
    re.compile(r"(?<![\w)])\([1-9][1-9]\) ?9?[0-9]{4}-[0-9]{4}(?!\w|[.-]\w)"),
)
_TRUNK = re.compile(
    rf"(?:0{_NO_ROW.format('0')}[1-9][0-9]{{0,5}}+"
    rf"|\({_NO_ROW.format('[(]')}0[1-9][0-9]{{0,4}}+\))"
    rf"(?:{_SEPARATOR}[0-9]{{2,8}}+){{1,5}}+(?!\w|:[0-9]|{_SEPARATOR}[0-9A-Za-z]*[0-9])"
)
# Digits in the groups of numbers that are dialled with a 0 in front, in thirty countries.
_TRUNK_SHAPES = frozenset(
    {
        "2-7", "2-8", "3-7", "3-8", "4-6", "4-7", "4-8", "5-5", "5-6", "6-5",
        "2-3-4", "2-4-4", "3-3-4", "3-3-5", "3-4-3", "3-4-4", "3-5-4", "4-3-3", "4-3-4", "5-3-3",
        "2-3-2-2", "2-3-3-2", "3-3-2-2", "3-3-3-2", "4-2-2-2", "4-3-2-2", "2-2-2-2-2",
    }
)  # fmt: skip
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ][01]?[0-9][-./ ][0-3]?[0-9]"
    r"|[0-9]{2}[-./ ][01][0-9][-./ ](?:19|20)[0-9]{2}"
)
_BARE_PHONE = re.compile(r"[0-9](?<![\w.+-][0-9])(?:[ .\-/()]{0,2}[0-9]){6,14}+(?!\w|[.-]\w)")
_PHONE_WORD = re.compile(
    r"""(?:(?<![a-z])(?:tel|(?:tele|cell|mobile)?phone|telefax|fax|mobile|mob|cell|whatsapp|sms
        |telefono?|t[eé]l[eé](?:phone|fono)|telefone|m[oó]vil|celular|handy|rufnummer)
        |(?:call|ring|reach|text|phone)[ ](?:me|us|him|her|them)[ ](?:at|on|under))
        (?:[ \t:.\#="'>_*(-]|number|n[or]\b|is\b|at\b|on\b|me\b|us\b){1,8}+\Z""",
    re.VERBOSE | re.IGNORECASE,
)

_PHONE_HINTS = (
    *("tel", "tél", "phone", "fax", "mob", "cell", "whatsapp", "sms", "movil", "móvil", "celular"),
    *("handy", "rufnummer", "call", "ring", "reach", "text"),
)


def _phones(text: str) -> Iterator[Finding]:
    """Phone numbers: `+` and a country code, national ones written as such, or after a word.

    A number without a country code counts where its groups are those of a phone (see
    `_TRUNK_SHAPES`), or where the text says that it is one.
    """
    yield from _international(text)
    matches = list[re.Match[str]]()
    if any(sign in text for sign in "(-."):
        matches += chain.from_iterable(pattern.finditer(text) for pattern in _NATIONAL)
    matches += (each for each in _TRUNK.finditer(text) if _is_trunk_number(each[0]))
    if has_any(text.casefold(), _PHONE_HINTS):
        matches += (each for each in _BARE_PHONE.finditer(text) if _is_named_phone(each))
    for match in matches:
        yield Finding("phone", *match.span())


def _is_named_phone(match: re.Match[str]) -> bool:
    start = match.start()
    before = match.string[max(0, start - 9) : start].rstrip(" \t:.#=\"'>_*(-")
    is_likely = before[-1:].isalpha() and not _DATE.match(match[0])
    return is_likely and is_after(_PHONE_WORD, match)


def _international(text: str) -> Iterator[Finding]:
    for match in chain(_PLUS.finditer(text), _ZEROS.finditer(text)):
        number = match["number"]
        if number.count(".") == 1 and number.replace(".", "").isdigit():
            continue  # a coordinate
        groups = list(_DIGITS.finditer(_TRUNK_ZERO.sub("   ", number)))
        # What comes after the number may be digits too: the most groups that make a number.
        wholes = accumulate(group[0] for group in groups)
        fits = [g.end() for g, whole in zip(groups, wholes, strict=True) if _is_in_plan(whole)]
        if fits:
            yield Finding("phone", match.start(), match.start("number") + fits[-1])


def _is_in_plan(digits: str) -> bool:
    code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in _PLANS), digits[:3])
    if code not in _PLANS and not _OTHER_CODES.fullmatch(code):
        return False
    low, high = _PLANS.get(code, _OTHER_PLAN)
    national = digits[len(code) :]
    starts = "23456789" if code == "1" else "0123456789" if code == "39" else "123456789"
    return low <= len(national) <= high and national[0] in starts


def _is_trunk_number(number: str) -> bool:
    groups = _DIGITS.findall(number)
    separators = set(_NO_DIGITS.findall(number))
    shape = "-".join(str(len(group)) for group in groups)
    if shape not in _TRUNK_SHAPES or _DATE.match(number) or ("." in separators and len(groups) < 4):
        return False
    return shape != "2-2-2-2-2" or groups != sorted(groups)  # five numbers in order are a list


# --- all of them ---------------------------------------------------------------------------------


def find_numbers(text: str) -> Iterator[Finding]:
    """Accounts, cards, SSNs and phones, in a text that has a number as long."""
    if _NUMBER.search(text):
        for find in (_ibans, _cards, _us_ssns, _phones):
            yield from find(text)


_EMAIL_PREFILTER = (
    rf"[0-9A-Za-z_{NON_ASCII}]@"
    rf"[0-9A-Za-z{NON_ASCII}][0-9A-Za-z_{NON_ASCII}-]*\.[0-9A-Za-z{NON_ASCII}]"
)
_RUST_SEPARATOR = r"[ .\-/\x{a0}\x{202f}\x{2010}\x{2011}]"
_NUMBER_PREFILTERS = (
    # accounts: a country, two digits, and eleven chars or more
    rf"{not_after('0-9A-Za-z')}(?i:{'|'.join(sorted(_IBAN_LENGTHS))})[0-9]{{2}}"
    r"(?:[ \-\x{a0}]?[A-Za-z0-9]){11}",
    # cards: 4111111111111111, 4111 1111 1111 1111, 3782 822463 10005
    rf"{not_after('0-9A-Za-z_-')}[2-8](?:[0-9]{{11}}"
    r"|[0-9]{3}[ -](?:[0-9]{4}[ -]){2}[0-9]{4}|[0-9]{3}[ -][0-9]{6}[ -][0-9]{4})",
    # social security numbers
    r"[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
    rf"{any_case('ssn|social security')}[a-zA-Z :#.=\"'>\\]*"
    r"[0-8][0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{4}",
    # phones: international, of America, with a 0 in front, and after a word
    rf"\+\(?[1-9](?:{_RUST_SEPARATOR}?\(?[0-9]\)?){{6}}",
    rf"{not_after('0-9A-Za-z_.+/-')}00[ -]?[1-9][0-9]{{0,2}}{_RUST_SEPARATOR}[(0-9]",
    r"\([2-9][0-8][0-9]\)[ -]?[0-9]{3}[ .-][0-9]{4}|[2-9][0-8][0-9][.-][0-9]{3}[.-][0-9]{4}"
    r"|\([1-9][1-9]\) ?9?[0-9]{4}-[0-9]{4}",
    rf"{not_after('0-9A-Za-z_.+/-')}\(?0[1-9](?:\)?{_RUST_SEPARATOR}?[0-9]){{7}}",
    any_case(
        r"(?:tel|phone|fax|mob|mobile|cell|whatsapp|sms|telefono?|t[eé]l[eé]fono|telefone|m[oó]vil"
        r"|celular|handy|rufnummer|(?:call|ring|reach|text) (?:me|us|him|her|them) (?:at|on|under))"
        r"""(?:\\t|[ \t:.#="'>_*(\\-]|number|n[or]|is|at|on|me|us)*"""
    )
    + r"[0-9](?:[ .\-/()\\]{0,3}[0-9]){6}",
)

DETECTORS = (
    Detector(find_emails, _EMAIL_PREFILTER),
    Detector(find_numbers, "|".join(_NUMBER_PREFILTERS)),
)
