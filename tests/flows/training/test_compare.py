"""`sluice compare`: verdicts, exit codes and pages, from files of answers."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support.protocols import RunSluice
from support.releases import publish_files
from support.rft.state import ControlPlane
from support.training import LOCAL_GRADER, LOCAL_RECIPE, math_line

from bedrock_sluice.flows.recipe import Recipe

LINES = 200
HOSTILE = "<script>alert(1)</script>\x1b[31m[bold]"

WriteResponses = Callable[..., str]


@pytest.fixture
def release(tmp_path: Path) -> str:
    """A release whose validation side has 200 lines of two domains."""
    ids = [f"r-{number:05d}" for number in range(LINES + 1)]
    rows = [json.loads(math_line(number, name)) for number, name in enumerate(ids)]
    for number, row in enumerate(rows):
        row["domain"] = "sums" if number % 2 else HOSTILE
    names = ("train.jsonl", "validation.jsonl", "provenance.parquet")
    files = {name: tmp_path / name for name in names}
    files["train.jsonl"].write_text(json.dumps(rows[LINES]) + "\n")
    files["validation.jsonl"].write_text("".join(json.dumps(r) + "\n" for r in rows[:LINES]))
    sides = ["validation"] * LINES + ["train"]
    frame = {"id": ids, "request_id": ids, "split": sides, "prompt_digest": ids, "group": ids}
    pl.DataFrame(frame).write_parquet(files["provenance.parquet"])
    values: dict[str, Any] = {
        "name": "math",
        "lake": str(tmp_path / "lake"),
        "source": {"uri": "logs"},
        "template": {"name": "math"},
    }
    (tmp_path / "grader.py").write_text(LOCAL_GRADER)
    (tmp_path / "math.toml").write_text(LOCAL_RECIPE)
    return publish_files(Recipe.model_validate(values), files).uri


@pytest.fixture
def write_responses(tmp_path: Path) -> WriteResponses:
    """Write the answers of a model: right unless `is_wrong` of the number of the line."""

    def write(name: str, is_wrong: Callable[[int], bool], wrong: str = "#### -1") -> str:
        path = tmp_path / f"{name}.jsonl"
        rows = [
            {
                "id": f"r-{number:05d}",
                "response": wrong if is_wrong(number) else f"#### {2 * number}",
                "input_tokens": 100,
                "output_tokens": 10,
            }
            for number in range(LINES)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return f"{name}={path}"

    return write


def compare(sluice: RunSluice, release: str, *responses: str, code: int) -> dict[str, Any]:
    """Run `sluice compare --json`; what it prints."""
    recipe = Path(release).parents[2].with_name("math.toml")
    options = [part for each in responses for part in ("--responses", each)]
    result = sluice("compare", release, "--recipe", recipe, *options, "--json")
    assert result.code == code, result.err
    report: dict[str, Any] = json.loads(result.out)
    return report


def test_a_better_model_is_promoted_and_an_equal_one_is_not(
    release: str, sluice: RunSluice, write_responses: WriteResponses
) -> None:
    base = write_responses("base", lambda number: number % 3 == 0)
    better = write_responses("better", lambda number: number % 9 == 0)
    same = write_responses("same", lambda number: number % 3 == 1)
    report = compare(sluice, release, base, better, same, code=0)
    verdicts = {each["model"]: each["verdict"] for each in report["comparisons"]}
    assert verdicts == {"better": "promote", "same": "keep"}
    overall = report["comparisons"][0]["overall"]
    assert overall["difference"] == pytest.approx(44 / 200)
    assert 0 < overall["low"] < 44 / 200 < overall["high"]
    assert "pairs" not in report  # they hold record content
    assert compare(sluice, release, base, better, same, code=0) == report  # seeded


def test_a_model_that_is_worse_on_one_slice_or_refuses_is_rolled_back(
    release: str, sluice: RunSluice, write_responses: WriteResponses
) -> None:
    base = write_responses("base", lambda number: number % 4 == 0)
    on_slice = write_responses("slice", lambda number: number % 2 == 1 and number % 3 == 0)
    refuses = write_responses("refuses", lambda number: number < 40, "I'm sorry, I can't help.")
    report = compare(sluice, release, base, on_slice, refuses, code=1)
    one, two = report["comparisons"]
    assert (one["verdict"], one["reasons"]) == (
        "roll back",
        ["slice domain = sums is worse"],
    )
    assert two["verdict"] == "roll back"
    assert "more answers fail the suite refusals" in two["reasons"]
    assert "more answers fail the suite format" in two["reasons"]


def test_the_page_shows_masked_answers_side_by_side_and_no_markup_of_theirs(
    release: str, sluice: RunSluice, write_responses: WriteResponses, tmp_path: Path
) -> None:
    base = write_responses("base", lambda number: number % 3 == 0)
    tuned = write_responses("tuned", lambda number: number % 3 == 1, "dana@example.com <b>no</b>")
    page, recipe = tmp_path / "models.html", tmp_path / "math.toml"
    options = ("--responses", base, "--responses", tuned, "--page", page, "--prices", 0.1, 0.5)
    result = sluice("compare", release, "--recipe", recipe, *options)
    assert "\x1b[31m" not in result.err
    assert "0.015000 per answer" in result.err
    html = page.read_text()
    assert "Answers side by side" in html
    assert "&lt;b&gt;no" in html
    assert "&lt;script&gt;" in html
    for text in ("dana@example.com", "<b>no", "<script>alert", "\x1b"):
        assert text not in html
    recipe.write_text(f'{LOCAL_RECIPE}[report]\ncontent = "none"\n')
    sluice("compare", release, "--recipe", recipe, *options)
    assert "Answers side by side" not in page.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"id": "r-00000", "response": "x"}\n', "199 of 200 validation lines have no answer"),
        ('{"id": "r-00000", "response": "secret', "tuned.jsonl:1: not a JSON object"),
        ('{"id": "r", "response": "x"}\n' * 2, "tuned.jsonl:2: this id has an answer already"),
    ],
)
def test_a_wrong_file_of_answers_is_an_error_that_quotes_nothing(
    release: str,
    sluice: RunSluice,
    write_responses: WriteResponses,
    tmp_path: Path,
    text: str,
    message: str,
) -> None:
    base = write_responses("base", lambda _: False)
    (tmp_path / "tuned.jsonl").write_text(text)
    options = ("--responses", base, "--responses", f"tuned={tmp_path / 'tuned.jsonl'}")
    result = sluice("compare", release, "--recipe", tmp_path / "math.toml", *options)
    assert (result.code, message in result.err, "secret" in result.err) == (2, True, False)


def answer_as(control_plane: ControlPlane, is_wrong: dict[str, Callable[[int], bool]]) -> None:
    """Let models that are called answer right, unless `is_wrong` of the number of the line."""

    def answer(model: str, question: str) -> str:
        number = int(re.findall(r"\d+", question)[0])
        return "#### -1" if is_wrong[model](number) else f"#### {2 * number}"

    control_plane.answer = answer


def test_models_are_called_and_no_answer_is_paid_twice(
    release: str, sluice: RunSluice, control_plane: ControlPlane, tmp_path: Path
) -> None:
    answer_as(
        control_plane, {"acme.base": lambda n: n % 3 == 0, "acme.tuned": lambda n: n % 9 == 0}
    )
    options = ("--recipe", tmp_path / "math.toml", "--answers", tmp_path / "answers", "--json")
    models = ("--model", "base=acme.base", "--model", "tuned=acme.tuned", "--prices", 1, 2)
    control_plane.fail_next("Converse", "ValidationException", 400)
    failure = sluice("compare", release, *models, *options)
    assert (failure.code, "refused to call acme.base with line r-0" in failure.err) == (2, True)
    path = next((tmp_path / "answers").rglob("base.jsonl"))
    with path.open("ab") as file:
        file.write(b'{"id":"r-00199","resp')  # what a killed process leaves
    result = sluice("compare", release, *models, *options)
    assert result.code == 0, result.err
    assert json.loads(result.out)["comparisons"][0]["verdict"] == "promote"
    assert re.search(r"tuned: 200 calls, [\d,]+ tokens read, [\d,]+ written, cost \d", result.err)
    assert control_plane.count("Converse") == 2 * LINES + 1
    again = sluice("compare", release, *models, *options)
    assert (again.out, "tuned: 0 calls" in again.err) == (result.out, True)
    assert control_plane.count("Converse") == 2 * LINES + 1
    files = [f"{name}={path.with_name(f'{name}.jsonl')}" for name in ("base", "tuned")]
    responses = [part for each in files for part in ("--responses", each)]
    from_files = sluice("compare", release, *responses, "--prices", 1, 2, *options)
    assert from_files.out == result.out
    call = next(call for call in control_plane.calls if call.operation == "Converse")
    assert call.body["requestMetadata"] == {"sluice": "compare"}
    other = sluice("compare", release, "--model", "base=acme.other", *models[2:], *options)
    assert (other.code, "has answers of acme.base" in other.err) == (2, True)


def test_what_cannot_be_compared_is_refused_before_anything_is_paid(
    release: str, sluice: RunSluice, control_plane: ControlPlane, tmp_path: Path
) -> None:
    arn = "arn:aws:bedrock:us-east-1:111122223333:custom-model/amazon.nova-2/000000000000"
    options = ("--recipe", tmp_path / "math.toml", "--answers", tmp_path / "answers")
    alone = sluice("compare", release, "--model", "tuned=acme.tuned", *options)
    assert (alone.code, "at least one other model" in alone.err) == (2, True)
    models = ("--model", f"tuned={arn}", "--model", "base=acme.base")
    no_grader = sluice("compare", release, *models, *options[2:])
    assert (no_grader.code, "has no [grader]" in no_grader.err) == (2, True)
    result = sluice("compare", release, *models, *options)
    assert (result.code, "run `sluice deploy`" in result.err) == (2, True)
    assert control_plane.count("Converse") == 0
