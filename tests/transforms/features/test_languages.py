"""Languages: told where a text tells, and null where it does not."""

import subprocess
import sys

import polars as pl
import pytest

from bedrock_sluice.transforms.errors import ConfigError
from bedrock_sluice.transforms.features.languages import (
    MAX_JUDGED_CHARS,
    check_languages,
    tell_languages,
)

pytest.importorskip("py3langid")

TOLD = {
    "Explain in two sentences why the sky is blue at noon.": "en",
    "EXPLAIN IN TWO SENTENCES WHY THE SKY IS BLUE": "en",
    "Pourquoi le ciel est-il bleu à midi et rouge le soir ?": "fr",
    "Warum ist der Himmel mittags blau und abends rot?": "de",
    "¿Por qué el cielo es azul al mediodía y rojo al atardecer?": "es",
    "Perché il cielo è blu a mezzogiorno e rosso al tramonto?": "it",
    "Por que o céu é azul ao meio-dia e vermelho ao anoitecer?": "pt",
    "Waarom is de lucht overdag blauw en in de avond rood?": "nl",
    "Почему небо днём голубое, а на закате красное?": "ru",
    "请把这句话翻译成英文，然后解释一下": "zh",
    "翻訳してください": "ja",
    "하늘은 왜 낮에 파랗고 저녁에 붉은가요?": "ko",
    "لماذا تكون السماء زرقاء في النهار؟": "ar",
    "आसमान दिन में नीला क्यों होता है?": "hi",
    "ทำไมท้องฟ้าตอนกลางวันถึงเป็นสีฟ้า": "th",
    "Pourquoi est-ce faux ici ?\n```\nfor each in the list of names: print this\n```": "fr",
}
NOT_TOLD = [
    None,
    "",
    "   \n",
    "Hi",
    "What is 2+2?",
    "2 + 2 = 4, 3 + 3 = 6, 4 + 4 = 8",
    "😀" * 50,
    "🏳️‍🌈" * 500,
    '{"a": 1, "b": [1, 2, 3], "name": "x", "id": "y"}',
    "```\nExplain in two sentences why the sky is blue at noon.\n```",
    "a" * 100,
    "\u200b" * 100,
]


def languages_of(*texts: str | None) -> list[str | None]:
    codes = tell_languages(pl.Series(texts, dtype=pl.String))
    assert codes.name == "language"
    assert codes.dtype == pl.String
    return codes.to_list()


@pytest.mark.parametrize(("text", "code"), TOLD.items())
def test_a_language_is_told(text: str, code: str) -> None:
    assert languages_of(text) == [code]


@pytest.mark.parametrize("text", NOT_TOLD)
def test_what_does_not_tell_has_no_language(text: str | None) -> None:
    assert languages_of(text) == [None]


def test_a_text_is_told_the_same_whatever_stands_beside_it() -> None:
    texts = [*TOLD, *NOT_TOLD]
    codes = languages_of(*texts)
    assert codes == [languages_of(text)[0] for text in texts]
    assert codes[::-1] == languages_of(*texts[::-1])
    assert languages_of() == []


def test_a_huge_text_is_told_by_its_start() -> None:
    english, _, french, *_ = (f"{text} " for text in TOLD)
    head = english * (MAX_JUDGED_CHARS // len(english) + 1)
    assert languages_of(head + french * 50_000, "a" * 5_000_000) == ["en", None]


def test_without_the_library_what_to_install_is_told() -> None:
    code = (
        "import sys\n"
        "from polars import Series\n"
        "from bedrock_sluice.transforms.errors import ConfigError\n"
        "from bedrock_sluice.transforms.features.languages import check_languages, tell_languages\n"
        "assert 'py3langid' not in sys.modules\n"
        "sys.modules['py3langid'] = None\n"
        "try: tell_languages(Series(['text']))\n"
        "except ConfigError as error: print(error)\n"
    )
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert "install bedrock-sluice[language]" in process.stdout, process.stderr


def test_languages_that_can_not_be_told_are_refused() -> None:
    check_languages(())
    check_languages(("en", "fr"))
    with pytest.raises(ConfigError, match=r"'xx' can't be told; name languages by ISO 639-1: .*en"):
        check_languages(("en", "xx"))
