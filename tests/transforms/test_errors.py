"""Errors carry their facts as attributes, and survive the way through a process pool."""

import pickle
from pathlib import Path

import pytest

from bedrock_sluice.flows.recipe.errors import RecipeError
from bedrock_sluice.lake.stores.store import ObjectRefusedError
from bedrock_sluice.transforms.errors import (
    ConfigError,
    ExitCode,
    InputError,
    IntegrityError,
    OutsideError,
    RefusedError,
    SluiceError,
    TransientError,
)
from bedrock_sluice.transforms.reasons import Reason


def test_message_alone_is_the_text() -> None:
    error = ConfigError("unknown key")
    assert str(error) == error.message == "unknown key"
    assert error.place is error.value is error.hint is None


@pytest.mark.parametrize(
    ("place", "hint", "text"),
    [
        ("a.toml:3", None, "a.toml:3: unknown key"),
        (None, "did you mean `lake`?", "unknown key; did you mean `lake`?"),
        ("a.toml:3", "did you mean `lake`?", "a.toml:3: unknown key; did you mean `lake`?"),
    ],
)
def test_text_is_built_from_the_facts(place: str | None, hint: str | None, text: str) -> None:
    error = ConfigError("unknown key", place=place, value="lakes", hint=hint)
    assert str(error) == text
    assert (error.place, error.value, error.hint) == (place, "lakes", hint)


def test_no_fact_holds_terminal_codes() -> None:
    error = OutsideError("\x1b[2Jm", place="s3://b/\x1b[0m", value="\x1b", hint="run \x1b[1m")
    facts = (str(error), error.message, error.place, error.value, error.hint)
    assert not any("\x1b" in str(fact) for fact in facts)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("m", place="p", value=3, hint="h"),
        InputError(Reason.DECODE_BAD_JSON, "byte 3"),
        TransientError("m"),
        RecipeError(Path("a.toml"), [(2, "unknown key"), (3, "missing")]),
        ObjectRefusedError("m", Reason.PULL_BODY_MISSING),
    ],
    ids=lambda error: type(error).__name__,
)
def test_pickled_error_keeps_class_text_and_facts(error: SluiceError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (RefusedError, ExitCode.CHECK_FAILED),
        (IntegrityError, ExitCode.CHECK_FAILED),
        (InputError, ExitCode.CHECK_FAILED),
        (ConfigError, ExitCode.CONFIG),
        (OutsideError, ExitCode.OUTSIDE),
        (TransientError, ExitCode.OUTSIDE),
    ],
)
def test_class_decides_the_exit_code(kind: type[SluiceError], code: ExitCode) -> None:
    assert kind.exit_code is code


def test_place_of_a_recipe_error_is_its_first_fault() -> None:
    error = RecipeError(Path("a.toml"), [(2, "unknown key"), (3, "missing")])
    assert error.place == "a.toml:2"
    assert str(error) == "a.toml:2: unknown key\na.toml:3: missing"
