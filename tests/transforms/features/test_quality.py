"""Quality: each rule is tripped by what it names, and by nothing that only looks like it."""

from dataclasses import fields, replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.transforms.fates import apply_rules
from bedrock_sluice.transforms.features.quality import (
    MEASURES,
    RESERVED_WORDS,
    escape_reserved,
    measure_quality,
    quality_rules,
)
from bedrock_sluice.transforms.settings import QualityLimits

PLAIN = "Explain in two sentences why the sky is blue at noon and red at dusk."
REPLY = "Air scatters blue light more than red."
STRICT = QualityLimits(
    min_prompt_tokens=10,
    min_words=3,
    max_repeated_share=0.5,
    max_placeholders=0,
    max_reserved_words=0,
    max_hidden_characters=0,
    drop_refusals=True,
    languages=("en", "fr"),
)
MEGABYTES_5 = 5_000_000


def measure(text: str, response: str | None = REPLY, *, before: str = "") -> dict[str, Any]:
    row = {"last_user": text, "prompt": before + text, "response": response}
    return measure_quality(pl.DataFrame([row])).row(0, named=True)


def verdict(
    prompt: str | None,
    response: str | None = REPLY,
    limits: QualityLimits = STRICT,
    **columns: Any,
) -> str | None:
    row = {"last_user": prompt, "prompt": prompt, "response": response}
    texts = pl.DataFrame([row], schema=dict.fromkeys(row, pl.String))
    rows = pl.DataFrame([{"prompt_tokens": 100, "language": "en", "label": None, **columns}])
    result = apply_rules(rows.hstack(measure_quality(texts)), quality_rules(limits))
    return None if result.rejected.is_empty() else str(result.rejected["reason"].item())


@pytest.mark.parametrize(
    ("reason", "limit", "prompt", "response", "columns"),
    [
        ("curate_too_short", "min_prompt_tokens", PLAIN, REPLY, {"prompt_tokens": 9}),
        ("curate_trivial_prompt", "min_words", "Thank you!", REPLY, {}),
        ("curate_noise", "max_repeated_share", f"What is this? {'a' * 100}", REPLY, {}),
        ("curate_placeholder", "max_placeholders", f"Dear {{{{name}}}}, {PLAIN}", REPLY, {}),
        ("curate_reserved_word", "max_reserved_words", f"User: {PLAIN}", REPLY, {}),
        ("curate_hidden_characters", "max_hidden_characters", f"\u200b{PLAIN}", REPLY, {}),
        ("curate_language", "languages", PLAIN, REPLY, {"language": "de"}),
        ("curate_refusal", "drop_refusals", PLAIN, "I can't help with that.", {}),
    ],
)
def test_each_rule_drops_what_it_names_and_no_other_does(
    reason: str, limit: str, prompt: str, response: str, columns: dict[str, Any]
) -> None:
    off = getattr(QualityLimits(), limit)
    assert verdict(prompt, response, **columns) == reason
    assert verdict(prompt, response, replace(STRICT, **{limit: off}), **columns) is None


def test_without_limits_there_are_no_rules() -> None:
    assert quality_rules(QualityLimits()) == []
    assert len(quality_rules(STRICT)) == len(fields(QualityLimits))


def test_what_is_plain_passes_every_rule() -> None:
    assert verdict(PLAIN) is None


@pytest.mark.parametrize(
    ("prompt", "columns"),
    [
        (PLAIN, {"prompt_tokens": 10}),
        (PLAIN, {"prompt_tokens": None}),
        (PLAIN, {"language": "fr"}),
        (PLAIN, {"language": None}),
        (None, {}),
    ],
)
def test_a_limit_that_is_met_or_cannot_be_judged_keeps(
    prompt: str | None, columns: dict[str, Any]
) -> None:
    assert verdict(prompt, None, **columns) is None


TRIVIAL = [
    "Hi", "thanks!", "test", "ok", "Hello there", "???", "👍", "…", "Okay - thanks", "ça va",
    "don't know", "你好", "Привет", "  hey \n", "e-mail", "<p>", "", "ok :)",
]  # fmt: skip
SMALL_BUT_SOUND = [
    "2+2=?", "翻訳してください", "x = y?", "Define photosynthesis briefly", "Who was Ada?",
    "번역해주세요", "แปลให้หน่อย", "π²", "∫ sin", "√x", "Year 1914", "a b c", "Что это такое",
]  # fmt: skip


@pytest.mark.parametrize("prompt", TRIVIAL)
def test_a_turn_of_few_words_is_trivial(prompt: str) -> None:
    assert verdict(prompt) == "curate_trivial_prompt"


@pytest.mark.parametrize("prompt", SMALL_BUT_SOUND)
def test_a_short_turn_that_asks_for_something_is_not_trivial(prompt: str) -> None:
    assert verdict(prompt) is None


def test_the_words_are_those_of_the_last_user_turn() -> None:
    measures = measure("ok", before=PLAIN)
    assert (measures["words"], measures["chars"]) == (1, len(PLAIN) + 2)


@pytest.mark.parametrize(
    "prompt",
    [
        "a" * 100,
        "Look: " + "=" * 100,
        "😀" * 60 + " what is that face?",
        f"Please read this:{' ' * 60}now",
        "buy " * 60,
        "Buy buy BUY now, " * 20,
        "test test test test. " * 10,
    ],
)
def test_a_turn_of_one_character_or_word_is_noise(prompt: str) -> None:
    assert verdict(prompt) == "curate_noise"


@pytest.mark.parametrize(
    "prompt",
    [
        "Wait, what??????? Why is the sky blue???????",
        "Nooooooo, why is it so",
        f"{PLAIN}\n{'-' * 60}\n{PLAIN}",
        "Fill the grid: " + "0 0 0 1 0 0 0 0 " * 20,
        "What is 1000000000 + 1 in words?",
        "the cat and the dog and the cow and the hen and the pig and the fox met",
        "Is it yes yes yes yes yes?",
        f"{PLAIN}{' ' * 500}",
    ],
)
def test_what_repeats_a_little_is_not_noise(prompt: str) -> None:
    assert verdict(prompt) is None


def test_shares_are_told_only_of_texts_long_enough() -> None:
    short, long = measure("aaaa"), measure("ab" + "a" * 48 + " is it")
    assert (short["longest_run_share"], short["top_word_share"]) == (None, None)
    assert long["longest_run_share"] == pytest.approx(48 / 56)
    assert measure("no " * 15 + "yes " * 5)["top_word_share"] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        *((f"see {word} it", 1) for word in RESERVED_WORDS),
        *((f"see{word.upper()}it", 1) for word in RESERVED_WORDS),
        ("The ecosystem: robots, superuser: root", 2),
        ("uSeR:bot:Assistant:", 3),
        ("The user : and the bot; an EOS, <images>, [ EOS ], <unknown>", 0),
        ("System prompt\nUser\nAssistant", 0),
        ("", 0),
    ],
)
def test_reserved_words_are_found_wherever_validators_find_them(prompt: str, count: int) -> None:
    assert measure(prompt)["reserved_words"] == count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User: hi", "User : hi"),
        ("ecosystem:x", "ecosystem :x"),
        ("THOUGHT:thought:", "THOUGHT :thought :"),
        ("[EOS]<image><Video><unk>", "[EOS ]<image ><Video ><unk >"),
        ("User : hi", "User : hi"),
        ("nothing to do", "nothing to do"),
        ("", ""),
    ],
)
def test_reserved_words_are_broken_by_a_space(text: str, expected: str) -> None:
    assert escape_reserved(text) == expected


@given(st.lists(st.sampled_from([*RESERVED_WORDS, "USER", ":", " ", "[", "\u212a>", "é"])))
def test_an_escaped_text_holds_no_reserved_word_and_stays_as_it_is(parts: list[str]) -> None:
    text = escape_reserved("".join(parts))
    assert escape_reserved(text) == text
    assert not [word for word in RESERVED_WORDS if word.lower() in text.strip().lower()]
    assert measure(text)["reserved_words"] == 0
    assert text.replace(" ", "") == "".join(parts).replace(" ", "")


@pytest.mark.parametrize(
    "unit", ["a", "{{a ", "`", "<your ", "$x ", "i can't ", "\u202e", "中", "\n"]
)
def test_a_huge_text_is_measured(unit: str) -> None:
    huge = unit * (MEGABYTES_5 // len(unit))
    measures = measure(huge, huge)
    assert measures["chars"] == len(huge)
    assert measures["is_refusal"] is False


def test_rows_stay_in_order_and_no_rows_give_none() -> None:
    values = [None, "a b", PLAIN * 9, "", "no " * 90, None, "x" * 60]
    texts = pl.DataFrame({"last_user": values, "prompt": values[::-1], "response": values})
    measures = measure_quality(texts)
    assert measures.schema == MEASURES == measure_quality(texts.clear()).schema
    assert measures["words"].to_list() == [None, 2, 135, 0, 90, None, 1]
    alone = [measure_quality(texts[row]) for row in range(len(values))]
    assert measures.equals(pl.concat(alone))


def test_a_refusal_costs_no_prompt_that_has_a_label() -> None:
    refusal = "I'm sorry, but I can't help with that."
    assert verdict(PLAIN, refusal) == "curate_refusal"
    assert verdict(PLAIN, refusal, label="x") is None
