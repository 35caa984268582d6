"""What a job would take, and the budget that stops it; and graders of ours made ready to deploy."""

import json
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from support.protocols import MakeRecords, Ran, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.flows.running import prefect_runner as tasks
from bedrock_sluice.transforms.errors import RefusedError

Json = dict[str, Any]
Sluice = Callable[..., Ran]

EPOCHS, SAMPLES, LONGEST = 2, 4, 1_000
TRAIN = f"""\
[train]
model = "amazon.nova-2-lite-v1:0:256k"
role_arn = "arn:aws:iam::111122223333:role/rft"
output_uri = "s3://models/rft"
data_uri = "s3://data/rft"
hyper_parameters = {{ epochCount = {EPOCHS}, trainingSamplePerPrompt = {SAMPLES}, \
inferenceMaxTokens = {LONGEST} }}
"""
GRADER = '[grader]\nlambda_arn = "arn:aws:lambda:us-east-1:111122223333:function:grade"\n'
PRICES = 'prices = { currency = "EUR", per_1k_output_tokens = 0.002, per_1k_grader_calls = 0.5 }\n'
NO_JUDGE = {"low": 0, "high": 0}


@pytest.fixture
def build_release(sums: Path, recipe: WriteRecipe, sluice: RunSluice) -> Callable[..., str]:
    """Builds a release over 150 sums, and approves it."""

    def make(more: str, grader: str = GRADER) -> str:
        assert sums.exists()
        result = sluice("build", recipe(grader + TRAIN + more))
        assert result.code == 0, result.err
        release: str = result.out.strip()
        assert sluice("approve", release, "--by", "Dana").code == 0
        return release

    return make


def counts(release: str) -> tuple[int, int]:
    manifest = json.loads((Path(release) / "manifest.json").read_text())["counts"]
    return manifest["train"], manifest["validation"]


def test_without_prices_only_quantities_are_told(
    build_release: Callable[..., str], sluice: RunSluice
) -> None:
    release = build_release("")
    result = sluice("estimate", release, "--json")
    output = json.loads(result.out)
    train, validation = counts(release)
    evaluations = ceil(train * SAMPLES / 128) * EPOCHS // 10 + 1
    low = train * EPOCHS * SAMPLES
    high = low + evaluations * validation
    assert (result.code, output["cost"]) == (0, None)
    assert (output["lines"], output["validation_lines"]) == (train, validation)
    assert output["rollouts"] == {"low": low, "high": high}
    assert output["generated_tokens"] == {"low": low * LONGEST, "high": high * LONGEST}
    assert output["grader_calls"] == {"low": ceil(low / 128), "high": high}
    assert output["judge_input_tokens"] == output["judge_output_tokens"] == NO_JUDGE
    people = sluice("estimate", release)
    assert (people.code, people.out) == (0, "")
    assert f"rollouts: {low:,} to {high:,}" in people.err
    assert "cost: not told" in people.err
    assert "What is" not in people.err


def test_prices_make_a_range_and_logged_lengths_its_lower_end(
    build_release: Callable[..., str], recipe: WriteRecipe, sluice: RunSluice, tmp_path: Path
) -> None:
    (tmp_path / "grader.py").write_text(
        "def lambda_handler(event, _):\n"
        '    return [{"id": s["id"], "aggregate_reward_score": len(s["id"]) % 2} for s in event]\n'
    )
    (tmp_path / "labels.jsonl").write_text(
        "\n".join(f'{{"request_id": "request-{n}", "final_answer": {n}}}' for n in range(150))
    )
    answer = '[answer]\nfrom = ["labels"]\nlabels = "labels.jsonl"\n'
    grader = f'{answer}{GRADER}python = "grader.py:lambda_handler"\n'
    release = build_release(f"validation = false\n{PRICES}", grader)
    output = json.loads(sluice("estimate", release, "--json").out)
    readiness = json.loads((Path(release) / "manifest.json").read_text())["readiness"]
    low = output["rollouts"]["low"]
    assert output["rollouts"]["high"] == low
    assert output["validation_lines"] == 0
    assert output["generated_tokens"]["low"] == ceil(low * readiness["mean_response_tokens"])
    for end in ("low", "high"):
        cost = 0.002 * output["generated_tokens"][end] + 0.5 * output["grader_calls"][end]
        assert output["cost"][end] == pytest.approx(cost / 1_000, abs=1e-4)
    assert output["cost"]["currency"] == "EUR"
    assert sluice("estimate", release).err.rstrip().endswith("EUR")

    def compare(*prices: str) -> tuple[Json, str]:
        table = PRICES.replace(" }", f", {', '.join(prices)} }}")
        path = recipe(f"{grader}{TRAIN}validation = false\n{table}", name="priced.toml")
        run = ("estimate", release, "--recipe", path)
        return json.loads(sluice(*run, "--json").out)["serving"], sluice(*run).err

    serving, text = compare("current_per_1k_output_tokens = 3", "tuned_per_1k_output_tokens = 1")
    thousands = 30 * 150 * readiness["mean_response_tokens"] / 1_000  # of a window of one day
    assert serving["requests"] == 30 * 150
    assert serving["current_cost"] == pytest.approx(3 * thousands)
    assert serving["tuned_cost"] == pytest.approx(thousands)
    days = {end: ceil(output["cost"][end] / (2 * thousands / 30)) for end in ("low", "high")}
    assert serving["payback_days"] == days
    assert f"payback: after {days['low']} to {days['high']} days" in text

    serving, text = compare("current_per_1k_output_tokens = 0.001", "tuned_per_hour = 2")
    assert serving["tuned_cost"] == 2 * 24 * 30
    assert serving["payback_days"] is None
    assert "payback: never" in text


def test_a_judge_is_counted(sums: Path, recipe: WriteRecipe, sluice: RunSluice) -> None:
    assert sums.exists()
    path = recipe(GRADER + TRAIN, {'name = "math"\n': 'name = "judge"\n'})
    output = json.loads(sluice("estimate", sluice("build", path).out.strip(), "--json").out)
    assert output["judge_input_tokens"]["low"] > output["input_tokens"]["low"]
    assert output["judge_output_tokens"]["low"] == 512 * output["rollouts"]["low"]


def test_settings_given_after_the_build_are_those_of_the_estimate(
    build_release: Callable[..., str], recipe: WriteRecipe, sluice: RunSluice
) -> None:
    release = build_release("")
    later = recipe(GRADER + TRAIN.replace("epochCount = 2", "epochCount = 4") + PRICES)
    then, now = (
        json.loads(sluice("estimate", release, "--json", *more).out)
        for more in ((), ("--recipe", later))
    )
    assert now["rollouts"]["low"] == 2 * then["rollouts"]["low"]
    assert (then["cost"], now["cost"]["currency"]) == (None, "EUR")
    serving = ", current_per_1k_output_tokens = 3, tuned_per_hour = 2 }"
    priced_recipe = recipe(GRADER + TRAIN + PRICES.replace(" }", serving), name="priced.toml")
    assert "serving: not told; no grader was tried" in (
        sluice("estimate", release, "--recipe", priced_recipe).err
    )


def test_lines_over_the_jobs_prompt_length_are_told_and_too_many_refused(
    tmp_path: Path,
    recipe: WriteRecipe,
    records: MakeRecords,
    write_logs: WriteLogs,
    sluice: RunSluice,
) -> None:
    log_records = records(150)
    for number in range(20):
        words = " ".join(f"word{number}x{place}" for place in range(60))
        text = json.dumps(log_records[number]).replace("What is", f"Not: {words}. What is")
        log_records[number] = json.loads(text)
    write_logs(tmp_path / "logs", [log_records])
    release = sluice("build", recipe(GRADER + TRAIN)).out.strip()
    assert sluice("approve", release, "--by", "Dana").code == 0
    texts = Path(release, "train.jsonl").read_text().splitlines()
    long = sum("Not: " in text for text in texts)
    assert long

    def recipe_limited_to(limit: int) -> Path:
        more = f"maxPromptLength = {limit}, epochCount"
        return recipe(GRADER + TRAIN.replace("epochCount", more))

    output = json.loads(
        sluice("estimate", release, "--json", "--recipe", recipe_limited_to(64)).out
    )
    assert (output["skipped_lines"], output["lines"]) == (long, len(texts) - long)
    assert f"skips {long} of {len(texts)} lines" in sluice("doctor", recipe_limited_to(64)).err
    assert sluice("train", release, "--dry-run", "--recipe", recipe_limited_to(64)).code == 0
    for result in (
        sluice("train", release, "--dry-run", "--recipe", recipe_limited_to(5)),
        sluice("doctor", recipe_limited_to(5)),
    ):
        assert result.code == 1
        assert f"skips {len(texts)} of {len(texts)} lines" in result.err


@pytest.mark.usefixtures("bucket")
def test_a_job_over_the_budget_is_not_started_by_anyone(
    build_release: Callable[..., str], sluice: RunSluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bedrock_sluice.flows import train
    from bedrock_sluice.flows.training import job

    def start(*_: object) -> None:
        raise AssertionError("a job was asked for")

    for name in ("start", "reserve"):
        monkeypatch.setattr(job, name, start)
    release = build_release(f"{PRICES}budget = 0.5\n")
    for arguments in (("--dry-run",), ()):
        result = sluice("train", release, *arguments)
        assert (result.code, bool(result.out)) == (1, bool(arguments))  # a dry run's request
        assert "the budget of 0.5" in result.err
        assert "cost: " in result.err
    # What Prefect's task runs, without a server: `test_prefect.py` has one.
    monkeypatch.setattr(train, "run_as_task", tasks.without_content)
    for dry_run in (True, False):
        with pytest.raises(RefusedError, match=r"the budget of 0\.5"):
            train.train.fn(release, dry_run).result()
    assert not list(Path(release).parents[2].glob("registry/**/*.json"))


def test_a_job_within_the_budget_is_rehearsed(
    build_release: Callable[..., str], sluice: RunSluice
) -> None:
    release = build_release(f"{PRICES}budget = 1e6\n")
    request = json.loads(sluice("train", release, "--dry-run").out)
    hyper_parameters = request["customizationConfig"]["rftConfig"]["hyperParameters"]
    assert (hyper_parameters["epochCount"], hyper_parameters["trainingSamplePerPrompt"]) == (
        EPOCHS,
        SAMPLES,
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("budget = 5.0\n", "a budget needs prices"),
        ("prices = {}\nbudget = 5.0\n", "has no price"),
        (PRICES + "budget = nan\n", "budget"),
        ("prices = { per_1k_output_tokens = -1 }\n", "per_1k_output_tokens"),
        ("prices = { per_1k_output_tokens = inf }\n", "per_1k_output_tokens"),
        ('prices = { per_1k_output_tokens = "0.1" }\n', "prices"),
        ("prices = { per_1k_outputs = 1 }\n", "per_1k_outputs"),
        ("prices = { per_hour = 1 }\n", "generated_tokens_per_hour"),
    ],
)
def test_prices_that_say_nothing_are_refused(
    sums: Path, recipe: WriteRecipe, sluice: RunSluice, more: str, message: str
) -> None:
    assert sums.exists()
    result = sluice("build", recipe(GRADER + TRAIN + more))
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "bug in Sluice" not in result.err


def test_an_estimate_needs_a_job_to_estimate(sums: Path, sluice: RunSluice) -> None:
    release = sluice("build", sums).out.strip()
    result = sluice("estimate", release, "--json")
    error = json.loads(result.out)["error"]
    assert (result.code, error["kind"], "has no [train]" in error["message"]) == (2, "config", True)


@pytest.mark.parametrize("name", ["math", "qa", "text", "format", "tool", "judge"])
def test_a_grader_is_exported_for_lambda(tmp_path: Path, sluice: RunSluice, name: str) -> None:
    model = ("--model", "us.amazon.nova-pro-v1:0") if name == "judge" else ()
    result = sluice("grader", "export", name, "--out", tmp_path / "deploy", *model)
    assert (result.code, result.out.strip()) == (0, str(tmp_path / f"deploy/{name}.zip"))
    assert "lambda_function.lambda_handler" in result.err
    with ZipFile(tmp_path / f"deploy/{name}.zip") as archive:
        code: Json = {}
        exec(archive.read("lambda_function.py"), code)
    assert code["lambda_handler"]([], None) == []
    policy = json.loads((tmp_path / "deploy/policy.json").read_text())
    actions = {
        statement["Action"]
        for statement in policy["Statement"]
        if isinstance(statement["Action"], str)
    }
    assert ("bedrock:InvokeModel" in actions) == (name == "judge")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("code",), "known: format, judge, math"),
        (("../math",), "unknown grader"),
        (("judge",), "needs the model"),
        (("math", "--model", "x"), "calls no model"),
        (("judge", "--model", "*"), "neither an id nor an ARN"),
    ],
)
def test_a_grader_that_can_not_be_exported_leaves_nothing(
    tmp_path: Path, sluice: RunSluice, arguments: tuple[str, ...], message: str
) -> None:
    result = sluice("grader", "export", *arguments, "--out", tmp_path / "deploy")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not (tmp_path / "deploy").exists()
