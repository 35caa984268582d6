"""Personal data: recall and precision on a set of generated, labelled texts."""

import string
import uuid
from collections.abc import Callable
from itertools import pairwise
from random import Random

import polars as pl
import pytest
from support.detectors import (
    assert_nearly_all_found,
    clean_texts,
    compare_findings,
    planted_texts,
)

from bedrock_sluice.transforms.privacy.kinds import PERSONAL

SEED = 20_261_001
CLEAN_TEXTS = 160  # of each sort

Made = Callable[[Random], str]
DIGITS = string.digits
LOWER, UPPER = string.ascii_lowercase, string.ascii_uppercase


def chars(rng: Random, alphabet: str, size: int) -> str:
    return "".join(rng.choices(alphabet, k=size))


def fill(rng: Random, shape: str) -> str:
    """`#` becomes a digit, `M` one up to 8, `N` one from 2, `Z` one from 1; the rest stays."""
    sets = {"#": DIGITS, "M": "012345678", "N": "23456789", "Z": "123456789"}
    return "".join(rng.choice(sets[each]) if each in sets else each for each in shape)


# --- values, made from the definitions of their formats ------------------------------------------

FIRST = [
    "anna", "bob", "carlos", "dieter", "emeka", "fatima", "grace", "hiro", "ines", "jürgen", "kim",
    "lars", "mei", "noor", "o'brien",
]  # fmt: skip
TLDS = [
    "com", "org", "net", "de", "co.uk", "io", "fr", "com.br", "museum", "photography", "jp", "dev",
    "xn--p1ai", "ac.in",
]  # fmt: skip


def email(rng: Random) -> str:
    name, other = rng.choice(FIRST), chars(rng, LOWER, rng.randint(2, 9))
    local = rng.choice(
        [
            name,
            f"{name}.{other}",
            f"{other}_{name}",
            f"{name}+{other}",
            f"{name}{rng.randint(1, 99)}",
        ]
    )
    host = chars(rng, LOWER, rng.randint(2, 10))
    domain = rng.choice([host, f"{host}-{other}", f"mail.{host}", f"{host}{rng.randint(1, 99)}"])
    address = f"{local}@{domain}.{rng.choice(TLDS)}"
    return rng.choice([address, address, address.title().replace("'B", "'b"), address.upper()])


# International and national ways to write a number, by the numbering plan of each country.


# Ways to write a number, by the numbering plan of each country.
INTERNATIONAL = [
    "+1 NM5-N##-####", "+1NM2N######", "+1 (NM3) N##-####", "+1-NM4-N##-####", "+1.NM6.N##.####",
    "+44 20 7946 0###", "+44 7700 900###", "+44 (0)20 7946 0###", "+442079460###",
    "+49 30 Z#######", "+49 151 Z#######", "+49 (0)89 Z######", "+4915Z########",
    "+33 6 ## ## ## ##", "+33 1 42 ## ## ##", "+336########", "+33.6.##.##.##.##", "+31 6 Z#######",
    "+31 20 Z######", "+31-6-Z#######", "+34 6## ### ###", "+34 91 Z## ## ##", "+39 06 Z### ####",
    "+39 3## Z######", "+61 4## ### ###", "+61 2 5550 ####", "+81 3-Z###-####", "+81 90-####-####",
    "+91 98### #####", "+91-98########", "+55 11 9####-####", "+5511 9########", "+41 44 Z## ## ##",
    "+46 70 Z## ## ##", "+47 4## ## ###", "+45 2# ## ## ##", "+86 138 #### ####", "+65 9### ####",
    "+27 82 Z## ####", "+48 5## ### ###", "+52 55 Z### ####", "+32 475 ## ## ##",
    "+351 91# ### ###", "+353 87 Z## ####", "+971 50 Z## ####", "+234 803 Z## ####",
    "+7 9## ###-##-##", "+82 10-####-####", "+358 40 Z######", "+420 60# ### ###",
    "+90 53# ### ## ##", "0044 20 7946 0###", "00 49 30 Z#######", "00 33 6 ## ## ## ##",
]  # fmt: skip
NATIONAL = [
    "(NM5) N##-####", "NM5-N##-####", "NM5-010-####", "1-800-555-01##", "NM2.N##.####",
    "(NM3)N##-####", "1 (NM3) N##-####", "020 7946 0###", "07700 900###", "0161 496 0###",
    "01632 960###", "(020) 7946 0###", "06 ## ## ## 1#", "01.42.##.##.1#", "06-Z#######",
    "020-Z######", "030 Z#######", "0171 Z######", "0171/Z######", "030/Z#######", "0491 57# ###",
    "(02) 5550 ####", "03-Z###-####", "090-####-####", "044 Z## ## ##", "0475 ## ## 1#",
    "070-Z## ## ##", "(11) 9####-####", "098### #####",
]  # fmt: skip
# Only a word tells that these are phones.
TOLD = [
    "NM5 N## ####", "NM5N######", "6## ### ###", "5########", "N## ####", "4## ## ###",
]  # fmt: skip
TELLING = [
    "Phone: {}", "Tel. {}", "my phone number is {}", "please call me at {} today", "mobile: {}",
    "Telefon: {}", "Tel.: {}", "teléfono: {}", "Fax: {}", "call us on {}.", '"phone": "{}"',
    "WhatsApp {}", "cell: {}", "phone={}", "reach me at {}",
]  # fmt: skip


def luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        product = int(digit) * (2 if place % 2 == 0 else 1)
        total += product // 10 + product % 10
    return str(-total % 10)


ISSUERS = [
    ("4", 16), ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("2720", 16), ("34", 15),
    ("37", 15), ("6011", 16), ("65", 16), ("644", 16), ("3528", 16), ("3589", 16), ("300", 14),
    ("36", 14), ("38", 14), ("62", 16),
]  # fmt: skip


def card(rng: Random) -> str:
    prefix, size = rng.choice(ISSUERS)
    body = prefix + chars(rng, DIGITS, size - 1 - len(prefix))
    number = body + luhn_digit(body)
    sep = rng.choice(["", "", " ", "-"])
    groups = {16: (4, 8, 12), 15: (4, 10), 14: (4, 10)}[size]
    cuts = (0, *groups, size)
    return sep.join(number[a:b] for a, b in pairwise(cuts))


# Country, and its BBAN: n digits, a capitals, c either.


# A country, and its BBAN: n digits, a capitals, c either.
IBANS = [
    ("DE", "18n"), ("FR", "10n11c2n"), ("GB", "4a14n"), ("NL", "4a10n"), ("ES", "20n"),
    ("IT", "1a10n12c"), ("CH", "5n12c"), ("AT", "16n"), ("BE", "12n"), ("PL", "24n"), ("SE", "20n"),
    ("NO", "11n"), ("DK", "14n"), ("IE", "4a14n"), ("PT", "21n"), ("FI", "14n"), ("MT", "4a5n18c"),
    ("SA", "2n18c"), ("AE", "19n"), ("BR", "23n1a1c"), ("TR", "6n16c"), ("LU", "3n13c"),
    ("CZ", "20n"), ("HU", "24n"), ("RO", "4a16c"), ("GR", "7n16c"), ("UA", "6n19c"), ("IL", "19n"),
    ("PK", "4a16c"),
]  # fmt: skip


def iban(rng: Random) -> str:
    country, plan = rng.choice(IBANS)
    sets = {"n": DIGITS, "a": UPPER, "c": DIGITS + UPPER}
    bban, size = "", ""
    for each in plan:
        if each in sets:
            bban, size = bban + chars(rng, sets[each], int(size)), ""
        else:
            size += each
    as_number = int("".join(str(int(each, 36)) for each in f"{bban}{country}00"))
    whole = f"{country}{98 - as_number % 97:02}{bban}"
    in_groups = " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
    return rng.choice([whole, in_groups])


def us_ssn(rng: Random) -> str:
    area = rng.choice([*range(1, 666), *range(667, 900)])
    return f"{area:03}-{rng.randint(1, 99):02}-{rng.randint(1, 9999):04}"


# --- sentences around them -----------------------------------------------------------------------

ANYWHERE = [
    "{}", "Hello, my name is Kim and you find me under {}.", "Contact: {}", "({})", "<{}>",
    '{{"id": 7, "value": "{}", "ok": true}}', "name,value\nkim,{},2024\n",
    "- value: {}\n- other: 3", "Please write to {}, thank you!", "value='{}'", "| kim | {} | yes |",
    "Is it {}?", "see `{}` here", "2024-10-01T12:00:00Z INFO user=17 got {} ok", "<p>{}</p>",
    "Send 250.00 EUR to {} by 3 May.", "first line\n{}\nlast line", '	value = "{}";', "**{}**",
    "我的資料是 {} 謝謝", "[{}]", "{};",
]  # fmt: skip


def phone(rng: Random) -> str:
    return fill(rng, rng.choice(INTERNATIONAL + NATIONAL))


MAKERS: dict[str, Made] = {
    "email": email,
    "card": card,
    "iban": iban,
    "us_ssn": us_ssn,
    "phone": phone,
}


def label_sample(rng: Random, kind: str) -> tuple[str, str]:
    """A text, and the value in it that is to be found."""
    if kind == "phone" and rng.random() < 0.2:
        value, around = fill(rng, rng.choice(TOLD)), TELLING
    else:
        value, around = MAKERS[kind](rng), ANYWHERE
    return rng.choice(around).format(value), value


# --- clean texts ---------------------------------------------------------------------------------

WORDS = [
    "the", "of", "and", "river", "model", "price", "town", "answer", "list", "garden", "seven",
    "music", "system", "number", "report", "question", "train", "window", "color", "market",
    "paper", "light", "reason", "energy", "value", "test", "engine", "minute",
]  # fmt: skip
NO_SSNS = [
    "000-Z#-####", "666-Z#-####", "9##-Z#-####", "Z##-00-####", "Z##-Z#-0000", "PN-Z##-##-####",
    "Z##-##-####-A", "Z###-##-####", "Z##-##-#####", "##-##-####", "2024-0Z-1#", "Z##-Z#-#",
    "7732-18-5", "Z##.##.####", "A1##-##-####", "Z##-##-####.7",
]  # fmt: skip
NO_PHONES = [
    "2020-2021-2022", "pages 1234-1250", "1234 5678", "ISBN 978-3-16-148410-#", "0-306-40615-#",
    "+Z#.######", "lat +40.7127753, lon -74.0059728", "1.23e+10", "-Z.##e-12", "+0200",
    "x+##########", "10.0.#.1##", "192.168.1.#:8080", "2024-10-01 12:30:45", "01.02.2024 13:45",
    "01-02-2024", "3/4/2024", "1,234,567,890", "Z## ### ###", "Z ### ### ###", "v1.2.3-45",
    "#### #### ####", "12:30-13:45", "N##-####-A", "SKU Z##-###-###", "ticket ########",
    "1790000000", "179000000####", "+1", "$Z,###,###.##", "Z##x###x####", "№ Z#######",
    "GET /v1/Z########", "+10 000 000", "5 + 49 = 54", "01 02 03 04 05 06 07", "03 11 19 27 42",
    "Art. 0##.###.##", "0.0############", "0x0#########", "(Z) (##) (###)", "(123) 45",
    "100-200-300", "A-N##-N##-####", "N##-N##-####-#", "range 100-1000-10000",
]  # fmt: skip
NO_EMAILS = [
    "@property\ndef x(self): ...", "A@B.T + q@k.transpose(0, 1)", "X@W.sum(axis=0)",
    "git clone git@github.com:acme/shop.git", "root@web-1:~# ls -la", "email: user@localhost",
    "@alice and @bob_2 said so", "scp kim@host.example.com:/tmp/x .", "icon@2x.png",
    "lodash@4.17.21", "uses: actions/checkout@v4.1.2", "a @ b.c", "x@", "foo@bar", "me@[10.0.0.1]",
]  # fmt: skip


def prose(rng: Random, size: int = 40) -> str:
    words = rng.choices(WORDS, k=size)
    return " ".join(w if rng.random() < 0.95 else str(rng.randint(1, 2500)) for w in words) + "."


def number_row(rng: Random) -> str:
    digits = rng.choice([1, 2, 3, 4, 4, 5, 6])
    sep = rng.choice([" ", ", ", "\t", "  "])
    return sep.join(chars(rng, DIGITS, digits) for _ in range(rng.randint(3, 14)))


def arithmetic(rng: Random) -> str:
    terms = [str(rng.randint(0, 10 ** rng.randint(1, 9))) for _ in range(rng.randint(2, 6))]
    text = rng.choice([" + ", "+", " - ", " * ", "*", " / ", "^"]).join(terms)
    return f"Compute {text} = {rng.randint(0, 10**12)}"


def no_card(rng: Random) -> str:
    """A number of 16 digits that fails Luhn's check, or passes it within something longer."""
    body = (rng.choice(["4", "51", "6011", "37"]) + chars(rng, DIGITS, 14))[:15]
    good = luhn_digit(body)
    wrong = body + str((int(good) + rng.randint(1, 9)) % 10)
    in_groups = "-".join(wrong[i : i + 4] for i in range(0, 16, 4))
    around = [
        "ORD-{}", "{}00000000", "3.{}", "x{}f", "12345{}", "{}.25", "/items/{}?page=2", "id_{}",
    ]  # fmt: skip
    inside = rng.choice(around).format(body + good)
    return (
        "Order " + rng.choice([wrong, in_groups, in_groups.replace("-", " "), inside]) + " was sent"
    )


def no_ssn(rng: Random) -> str:
    return fill(rng, rng.choice(NO_SSNS))


def no_phone(rng: Random) -> str:
    return fill(rng, rng.choice(NO_PHONES))


def no_email(rng: Random) -> str:
    return f"{prose(rng, 6)} {rng.choice(NO_EMAILS)}"


def no_iban(rng: Random) -> str:
    """A code of an IBAN's form and length that fails its check."""
    right = iban(rng).replace(" ", "")
    return f"{right[:2]}{(int(right[2:4]) + rng.randint(1, 90)) % 97 + 2:02}{right[4:]}"


def identifier(rng: Random) -> str:
    size = rng.choice([9, 11, 12, 13, 17, 18, 20, 25])
    return rng.choice(
        [
            str(uuid.UUID(int=rng.getrandbits(128))),
            f"commit {rng.randbytes(20).hex()}",
            f"arn:aws:iam::{chars(rng, DIGITS, 12)}:role/{rng.choice(WORDS)}",
            f"{chars(rng, UPPER, 2)}{chars(rng, DIGITS, rng.randint(14, 26))}",
            chars(rng, DIGITS, size),
            f"tracking {chars(rng, UPPER, 2)} {fill(rng, '#### #### #')} US",
        ]
    )


def table(rng: Random) -> str:
    rows = [
        " | ".join(f"{rng.uniform(-1e4, 1e4):.{rng.randint(0, 6)}f}" for _ in range(5))
        for _ in range(6)
    ]
    return "\n".join(rows)


def matrix(rng: Random) -> str:
    width = rng.choice([10, 100, 1000, 100_000])
    return str([[rng.randint(-width, width) for _ in range(5)] for _ in range(4)])


def latex(rng: Random) -> str:
    fraction = rf"\frac{{{rng.randint(1, 10**6)}}}{{{rng.randint(1, 999)}}}"
    return rf"{fraction} \nabla x = \begin{{pmatrix}} {number_row(rng)} \end{{pmatrix}}"


def url(rng: Random) -> str:
    return (
        f"https://{rng.choice(WORDS)}.example.com/{rng.choice(WORDS)}/{rng.randint(1, 10**10)}"
        f"?page={rng.randint(1, 99)}&ts={rng.randint(10**12, 2 * 10**12)}#{chars(rng, LOWER, 6)}"
    )


CLEAN: list[Made] = [
    prose, number_row, arithmetic, no_card, no_ssn, no_phone, no_email, no_iban, identifier, table,
    matrix, latex, url,
]  # fmt: skip


# --- what is found -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def comparison() -> pl.DataFrame:
    samples = planted_texts(PERSONAL, label_sample, SEED)
    return compare_findings(samples, clean_texts(CLEAN, CLEAN_TEXTS, SEED))


def test_the_set_is_large() -> None:
    assert len(list(planted_texts(PERSONAL, label_sample, SEED))) >= 500
    assert len(list(clean_texts(CLEAN, CLEAN_TEXTS, SEED))) >= 2_000


@pytest.mark.parametrize("kind", PERSONAL)
def test_nearly_all_is_found_as_it_is_and_little_else(comparison: pl.DataFrame, kind: str) -> None:
    assert_nearly_all_found(comparison, kind)
