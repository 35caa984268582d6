"""Detectors and masks on texts that were made to be slow: time grows as the text does."""

from collections.abc import Callable
from functools import partial
from time import process_time

import pytest

from bedrock_sluice.transforms.privacy.detection import (
    DETECTORS,
    find_personal_data,
    mask_json,
    mask_personal_data,
)
from bedrock_sluice.transforms.privacy.detectors import Detector, Finding

SMALL, LARGE = 16_000, 64_000  # chars
MAX_RATIO = 8.0  # of the times: 4 where the work is linear, 16 where it is quadratic
MIN_SECONDS = 0.05  # below it, the work on the larger text is too short to be quadratic

UNITS = [
    "1", "-", "a", "A", " ", "\n", "\r\n", '"', "'", "@", ".", "/", "\\", "\\n", "\\\\n", "(", "[",
    "{", "a.", "a@", "a@b.", ".@b.c", "1 ", "+", "+1", "01 ", "(0", "00", "0044 ", "06 12 ",
    "4111 ", "123-45-", "DE89 ", "de89", "tel 1", "card 4", "ssn 1", "abc123 ", "Aa1", "{}[]:,",
    "pwd", "pwd=", "password=", 'password="', "password: a1", "password   ", "password is ", "pass",
    "PASSWORD='a ", "passphrase '", "password{ ", "secret ", "secret=", "token:", "key=", "bearer ",
    "Bearer a", "sk-a", "sk- ", "eyJ.", "eyJaaaaaaaaa.", "IQoJb3JpZ2lu", "AKIA",
    "ASIA" + "A" * 16 + " ",
    "://a:b@", "://", "https:\\/\\/", "hooks.slack.com/a/T", "?sig=", "code=", "1:AA", "a-us1 ",
    "Cookie: sid=", "cookie: a=", "cookie a", "Basic ", '"auth":"', "curl -u ", "curl ", "mysql -p",
    "docker login -p ", "echo a", "echo a | sudo -S ", "login a password ", "a:5432:",
    "htpasswd -b ",
    "-----BEGIN ", "-----BEGIN PRIVATE KEY-----\nAAAA", "[EMAIL_", "[EMAIL_123456]",
]  # fmt: skip


def findings(detector: Detector, text: str) -> list[Finding]:
    return list(detector.find(text))


def seconds(work: Callable[[str], object], text: str) -> float:
    start = process_time()
    work(text)
    return process_time() - start


def ratio(work: Callable[[str], object], small: str, large: str) -> float:
    """How many times as long the larger text takes; the best of a few tries."""
    ratios = []
    for _ in range(3):
        slow = seconds(work, large)
        if slow < MIN_SECONDS:
            return 0.0
        ratios.append(slow / seconds(work, small))
    return min(ratios)


@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_no_faster_than_the_text(unit: str) -> None:
    small, large = (unit * (size // len(unit)) for size in (SMALL, LARGE))
    works: dict[str, Callable[[str], object]] = {
        each.name: partial(findings, each) for each in DETECTORS
    }
    works |= {"all": find_personal_data, "mask": partial(mask_personal_data, key="k")}
    works["json"] = lambda text: mask_json({"content": [text]}, "k")
    ratios = {name: ratio(work, small, large) for name, work in works.items()}
    assert max(ratios.values()) < MAX_RATIO, ratios


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_is_left_in_a_masked_text(unit: str) -> None:
    text = mask_personal_data(unit * (SMALL // len(unit)), "k")
    assert find_personal_data(text) == []
