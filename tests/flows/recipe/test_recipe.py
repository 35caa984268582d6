"""Recipes: what is taken, what is refused, and how the refusal is told."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.protocols import WriteRecipe

from bedrock_sluice.flows.recipe import load_recipe
from bedrock_sluice.transforms.errors import ConfigError

DERIVED = """\
[[derive]]
key = "team"
from = "identity_arn"
[[derive]]
key = "team"

from = "modle_id"
patern = "x"
"""
MULTI_LINE = """\
[template.reference]
answer = '''
[curate]
max_prompt_tokens = 8
'''
[curate]
against = [
"max_prompt_tokens=9",
]
max_prompt_tokens = 0
"""
NOW = datetime(2026, 11, 5, 14, 30, tzinfo=UTC)


def test_a_date_is_midnight_utc(recipe: WriteRecipe) -> None:
    window = load_recipe(recipe()).window
    assert window.since == datetime(2026, 10, 1, tzinfo=UTC)
    assert window.until == datetime(2026, 10, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01T06:00:00", datetime(2026, 10, 1, 6, tzinfo=UTC)),
        ("2026-10-01T06:00:00+05:30", datetime(2026, 10, 1, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_unless_it_has_a_zone(
    recipe: WriteRecipe, text: str, expected: datetime
) -> None:
    path = recipe(swaps={"since = 2026-10-01": f"since = {text}"})
    assert load_recipe(path).window.since == expected


def test_last_days_end_with_the_last_whole_day(recipe: WriteRecipe) -> None:
    path = recipe(swaps={"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 7"})
    window = load_recipe(path).at(NOW).window
    assert window.since == datetime(2026, 10, 29, tzinfo=UTC)
    assert window.until == datetime(2026, 11, 5, tzinfo=UTC)


def test_the_digest_leaves_out_where_things_lie_and_nothing_else(
    recipe: WriteRecipe,
) -> None:
    answer = '[answer]\nfrom = ["labels"]\nlabels = "labels.csv"\n'
    here = load_recipe(recipe(answer)).digest()
    places = {'"lake"': '"s3://lake/x"', '"logs"': '"s3://logs"'}
    there = recipe(answer.replace("labels.csv", "other.csv"), places)
    assert load_recipe(there).digest() == here
    other_recipe = recipe(answer, {'"math"': '"qa"'})
    assert load_recipe(other_recipe).digest() != here


@pytest.mark.parametrize(
    ("more", "swaps", "message"),
    [
        ("", {'"sums"': '"Sums!"'}, ":1: name: must be 1 to 48 lowercase letters"),
        ("", {'uri = "logs"\n': ""}, ":3: missing key `source.uri`"),
        ("", {"until = 2026-10-02": "until = 2026-09-01"}, ":3: source: since must be before"),
        ("", {"until = 2026-10-02": "last_days = 3"}, "either last_days, or since and until"),
        ("", {'lake = "lake"': 'lakes = "lake"'}, ":2: unknown key `lakes`; did you mean `lake`?"),
        ("[split]\nvalidation = 0.6\n", {}, ":10: split.validation: must be at most 0.5"),
        ("[split]\nvalidation = true\n", {}, ":10: split.validation: must be a number"),
        (
            '[curate]\nmax_prompt_tokens = "9"\n',
            {},
            ":10: curate.max_prompt_tokens: must be an integer",
        ),
        (
            "[zzz]\nx = 1\n",
            {},
            ":9: unknown key `zzz`; known: answer, approval, bucket_owner, checks, curate",
        ),
        (
            "",
            {'"math"': '"maths"'},
            ":8: template.name: unknown value `maths`; did you mean `math`?",
        ),
        ("profiles = ['nova-doc']\n", {}, ":9: template.profiles: unknown value `nova-doc`; did"),
        ('[answer]\nfrom = ["lables"]\n', {}, ":10: answer.from: unknown value `lables`; did you"),
        ("[split]\nvalidaton = 0.2\n", {}, ":10: unknown key `split.validaton`; did you mean `val"),
        ("", {"2026-10-01": '"soon"'}, ":5: source.since: must be a date or a time, such as"),
        ("", {'"logs"': '""'}, ":4: source.uri: must not be empty"),
        ("[answer]\nfrom = []\n", {}, ":10: answer.from: must not be empty"),
        (DERIVED, {}, ":15: derive[1].from: unknown value `modle_id`; did you mean `model_id`?"),
        (DERIVED.replace("modle", "model"), {}, ":16: unknown key `derive[1].patern`; did you"),
        (MULTI_LINE, {}, ":18: curate.max_prompt_tokens: must be at least 1"),
        ("[split\n", {}, ":9: invalid TOML: "),
        ('[answer]\nfrom = ["labels"]\n', {}, 'from has "labels", but there is no labels'),
        ('[answer]\nfrom = ["metadata"]\n', {}, "there is no metadata_key"),
        (
            '[select]\nmetadata = { orAll = [{ equals = { a = "1", b = "2" } }] }\n',
            {},
            ":10: select.metadata: metadata.orAll[0].equals must hold exactly one key",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    recipe: WriteRecipe, more: str, swaps: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe(recipe(more, swaps))
    assert message in str(error.value)


def test_all_faults_are_told_at_once(recipe: WriteRecipe) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe(recipe("[split]\nshare = 1\nmax_lines = 0\n"))
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("since", "until"),
    [('"2026-10-01"', '"2026-10-02T00:00:00"'), ("0001-01-01", "9999-12-31")],
)
def test_windows_of_any_length_and_with_quotes_can_be_used(
    sums: Path, recipe: WriteRecipe, since: str, until: str, sluice: Any
) -> None:
    path = recipe(swaps={"since = 2026-10-01": f"since = {since}", "2026-10-02": until})
    assert sluice("build", path).code == 0


def test_a_window_on_the_command_line_is_judged_like_one_in_the_recipe(
    sums: Path, sluice: Any
) -> None:
    result = sluice("build", sums, "--since", "2026-11-01")
    assert (result.code, "since must be before until" in result.err) == (2, True)


def test_last_days_count_back_from_an_end_that_is_given(recipe: WriteRecipe) -> None:
    path = recipe(swaps={"since = 2026-10-01\nuntil = 2026-10-02": "last_days = 7"})
    window = load_recipe(path).at(NOW, until=datetime(2026, 10, 20, tzinfo=UTC)).window
    assert window.since == datetime(2026, 10, 13, tzinfo=UTC)
