"""`sluice explain`: an answer for every request id."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Json = dict[str, Any]


@pytest.fixture
def built(
    tmp_path: Path,
    recipe: Callable[..., Path],
    sluice: Callable[..., Any],
    write_logs: Callable[..., None],
    records: Callable[..., list[Json]],
    record: Callable[..., Json],
) -> Path:
    """A release in which every kind of fate occurs."""
    failed = record(request_id="failed", errorCode="ThrottlingException", input=None, output=None)
    odd = record(request_id="odd", bodies=({"what": 1}, {"ever": 2}))
    torn = b'{"requestId": "half", "timestamp": 5}'
    again = record(request_id="again", ask="What is 7 plus 7? End with #### and the number.")
    write_logs(tmp_path / "logs", [[*records(110), failed, odd, torn, again]])
    path = recipe()
    sluice("build", path)
    return path


@pytest.mark.parametrize(
    ("request_id", "fate", "reason"),
    [
        ("failed", "dropped", "curate_error"),
        ("odd", "quarantined", "decode_unknown_shape"),
        ("half", "quarantined", "decode_bad_field"),
        ("again", "dropped", "curate_exact_duplicate"),
    ],
)
def test_a_record_that_was_left_out_is_explained(
    built: Path, sluice: Callable[..., Any], request_id: str, fate: str, reason: str
) -> None:
    ran = sluice("explain", built, request_id, "--json")
    (told,) = json.loads(ran.out)["fates"]
    assert ran.code == 0
    assert (told["fate"], told["reason"]) == (fate, reason)
    assert told["object"].endswith(".json.gz")
    assert told["line"] > 110


def test_a_duplicate_names_its_survivor(built: Path, sluice: Callable[..., Any]) -> None:
    (told,) = json.loads(sluice("explain", built, "again", "--json").out)["fates"]
    assert told["survivor"] == "request-7"


def test_a_kept_record_tells_its_side_and_its_answers_source(
    built: Path, sluice: Callable[..., Any]
) -> None:
    (told,) = json.loads(sluice("explain", built, "request-7", "--json").out)["fates"]
    assert told["fate"] in {"train", "validation"}
    assert (told["reference_source"], told["duplicates"]) == ("logged", 1)


def test_people_get_a_sentence(built: Path, sluice: Callable[..., Any]) -> None:
    assert "dropped: the call failed" in sluice("explain", built, "failed").err


def test_an_unknown_id_is_told_and_exits_1(built: Path, sluice: Callable[..., Any]) -> None:
    ran = sluice("explain", built, "never-seen")
    assert ran.code == 1
    assert "no record of that id among the 114" in ran.err


def test_without_a_release_explain_says_what_to_do(sums: Path, sluice: Callable[..., Any]) -> None:
    ran = sluice("explain", sums, "request-7")
    assert ran.code == 2
    assert "run `sluice build" in ran.err
