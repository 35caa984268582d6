"""Every template from logs to lines: they pass the gate and their profiles, and our graders."""

import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.protocols import EncodeBodies, MakeRecord, RunSluice, WriteLogs, WriteRecipe

from bedrock_sluice.rewards.running.events import FORMS, EventForm, Sample, as_event, batches
from bedrock_sluice.rewards.templates.base import template_named

Json = dict[str, Any]

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
NUMBER = 120  # of which more than 100 are to train
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
CUSTOM = """
reference = { verdict = "label", why = "reason" }
schema = { type = "object", required = ["verdict"], properties = { verdict = { enum = ["yes"] } } }
marker = "VERDICT:"
instruction = "End with VERDICT: yes or VERDICT: no."
"""


class Case(NamedTuple):
    """A template: the fields of the label of sum n, and a right and a wrong response to it."""

    name: str
    label: Callable[[int], Json]
    reference: Callable[[int], object]
    right: Callable[[int], str | Json] = str
    wrong: Callable[[int], str | Json] = str
    grader: str | None = None
    options: str = ""


def call(name: str, number: int) -> Json:
    function = {"name": name, "arguments": json.dumps({"a": number})}
    calls = [{"id": "call-1", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls}


CASES = [
    Case(
        "math",
        lambda n: {"final_answer": 2_000 * n, "steps": [f"{n} + {n}"]},
        lambda n: {"final_answer": str(2_000 * n), "steps": [f"{n} + {n}"]},
        lambda n: f"So it is {n}.\n#### {2_000 * n:,}",
        lambda n: f"It is {2_000 * n}, I mean:\n#### {2_000 * n + 1}",
        "math",
    ),
    Case(
        "math-openweight",
        lambda n: {"final_answer": f"{n}.50", "steps": [f"half of {2 * n + 1}"]},
        lambda n: f"half of {2 * n + 1}\n#### {n}.50",
        lambda n: f"#### {n}.5",
        lambda n: f"#### {n}",
        "math",
    ),
    Case(
        "qa",
        lambda n: {"answer": f"${n:,}.00"},
        lambda n: {"answer": f"{n}.00"},
        lambda n: f"As I said.\nANSWER: {n}",
        lambda n: f"It is {n}.\nANSWER: {2 * n + 9}",
        "qa",
    ),
    Case(
        "qa",
        lambda n: {"answer": f"the {n}th Street"},
        lambda n: {"answer": f"the {n}th Street"},
        lambda n: f"As I said.\nANSWER: {n}TH STREET.",
        lambda n: f"the {n}th Street\nANSWER: {n + 1}th Street",
        "qa",
        'kind = "text"\n',
    ),
    Case(
        "judge",
        lambda n: {"ground_truth": f"It is {n}.", "steps": ["count"]},
        lambda n: {"answer": f"It is {n}.", "ground_truth": f"It is {n}.", "steps": ["count"]},
        lambda n: f"It is {n}.",
        lambda n: "I do not know.",
        "judge",
        'kind = "reasoning"\n',
    ),
    Case(
        "tool",
        lambda n: {"tool_called": "add", "tool_parameters": {"a": n}},
        lambda n: {
            "tool_called": "add",
            "tool_parameters": {"a": n},
            "expected_behavior": f"Call add with a={n}",
            "ground_truth": [f"add(a={n})"],
        },
        lambda n: call("add", n),
        lambda n: call("add", n + 1),
        "tool",
    ),
    Case(
        "code",
        lambda n: {"code": "x = 1", "test_cases": [{"input": str(n), "expected_output": n}]},
        lambda n: {
            "code": "x = 1",
            "test_cases": [{"input": str(n), "expected_output": n, "output": str(n)}],
        },
        options='profiles = ["nova-docs", "code", "codeforces"]\n',
    ),
    Case(
        "format",
        lambda n: {"constraints": {"max_words": 9, "must_include": [f"no. {n}"], "json": None}},
        lambda n: {"constraints": {"max_words": 9, "must_include": [f"no. {n}"]}},
        lambda n: f"This is no. {n}.",
        lambda n: "It is none of them, " * 5,
        "format",
    ),
    Case(
        "custom",
        lambda n: {"label": "yes", "reason": f"{n} is a number", "more": 1},
        lambda n: {"verdict": "yes", "why": f"{n} is a number"},
        options=CUSTOM,
    ),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_graded_case = pytest.mark.parametrize(
    "case", [case for case in CASES if case.grader], ids=lambda case: case.name
)
Build = Callable[..., tuple[Path, Json]]


@pytest.fixture
def build(
    tmp_path: Path,
    recipe: WriteRecipe,
    record: MakeRecord,
    bodies: EncodeBodies,
    write_logs: WriteLogs,
    sluice: RunSluice,
) -> Build:
    """Build from labelled sums that ask for no form of the answer; folder and manifest."""

    def run(case: Case, more: str = "") -> tuple[Path, Json]:
        reply = {"role": "assistant", "content": "I can't say."}
        tools = [TOOL] if case.name == "tool" else []
        log_records, labels = [], []
        for n in range(1, NUMBER + 1):
            messages = [{"role": "user", "content": f"What is {n} plus {n}?  "}]
            both = bodies("converse", messages, reply, tools)
            at = START + timedelta(seconds=n)
            log_records.append(
                record(bodies=both, request_id=f"r-{n}", at=at, metadata={"lang": "en"})
            )
            extra = {"task_id": f"task-{n}", "unrelated": "stays"}
            labels.append({"request_id": f"r-{n}", **case.label(n), **extra})
        write_logs(tmp_path / "logs", [log_records])
        (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)))
        answer = '[answer]\nfrom = ["labels"]\nlabels = "labels.jsonl"\n'
        swaps = {
            'name = "math"\n': f'name = "{case.name}"\nfields = ["lang"]\n{case.options}{more}'
        }
        result = sluice("build", recipe(answer, swaps), "--json")
        assert result.code == 0, result.err
        release = Path(json.loads(result.out)["release"])
        return release, json.loads((release / "manifest.json").read_text())

    return run


def lines_of(release: Path) -> list[Json]:
    """Its lines of both sides."""
    texts = [(release / f"{side}.jsonl").read_text() for side in ("train", "validation")]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def number_of(line: Json) -> int:
    return int(line["id"].removeprefix("r-"))


@each_case
def test_a_release_passes_and_so_do_the_profiles_of_the_template(
    build: Build, case: Case, sluice: RunSluice
) -> None:
    release, manifest = build(case)
    assert (manifest["verdict"], manifest["answers"]["lines_with_instruction"]) == ("passed", 0)
    lines = lines_of(release)
    assert len(lines) == NUMBER
    for line in lines:
        n = number_of(line)
        assert line["reference_answer"] == case.reference(n)
        assert (line["lang"], line["task_id"]) == ("en", f"task-{n}")
        assert line.get("tools") == ([TOOL] if case.name == "tool" else None)
        assert "unrelated" not in line
    options = tomllib.loads(case.options)
    profiles = options.pop("profiles", None) or template_named(case.name, options).profiles
    profile_options = chain.from_iterable(("--profile", name) for name in profiles)
    result = sluice("check", release / "train.jsonl", *profile_options, "--json")
    assert result.code == 0
    assert all(each["lines_failing"] == 0 for each in json.loads(result.out)["profiles"])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name in ("math", "qa", "custom")], ids=lambda case: case.name
)
def test_instruct_asks_for_the_marker_in_each_prompt_and_is_counted(
    build: Build, case: Case
) -> None:
    release, manifest = build(case, "instruct = true\n")
    marker = {"math": "####", "qa": "ANSWER:", "custom": "VERDICT:"}[case.name]
    assert manifest["answers"]["lines_with_instruction"] == NUMBER
    for line in lines_of(release):
        (message,) = line["messages"]
        question, _, instruction = message["content"].partition("\n\n")
        assert question == f"What is {number_of(line)} plus {number_of(line)}?"
        assert marker in instruction


def test_instruct_leaves_alone_what_asks_already_or_has_no_marker(
    build: Build, sums: Path, recipe: WriteRecipe, sluice: RunSluice
) -> None:
    assert sums.exists()
    result = sluice(
        "build", recipe(swaps={'name = "math"\n': 'name = "math"\ninstruct = true\n'}), "--json"
    )
    manifest_json = json.loads(
        (Path(json.loads(result.out)["release"]) / "manifest.json").read_text()
    )
    assert manifest_json["answers"]["lines_with_instruction"] == 0
    (tool,) = (case for case in CASES if case.name == "tool")
    _, manifest = build(tool, "instruct = true\n")
    assert manifest["answers"]["lines_with_instruction"] == 0


def results(
    grader: str, lines: Sequence[Json], form: EventForm, respond: Callable[[int], str | Json]
) -> Iterator[Json]:
    """What our grader returns for responses to the lines, by way of JSON as Lambda does."""
    handler = import_module(f"bedrock_sluice.rewards.graders.{grader}_grader").lambda_handler
    samples = [Sample(line, respond(number_of(line))) for line in lines]
    for event in (as_event(batch, form) for batch in batches(samples, 64)):
        yield from json.loads(json.dumps(handler(json.loads(json.dumps(event)), None)))


def converse(messages: list[Json], **_: object) -> Json:
    """A judge that says 10 where the response stands in the reference, else 0."""
    (message,) = messages
    text = message["content"][0]["text"]
    response = text.partition("<response>\n")[2].partition("\n</response>")[0]
    is_right = (
        response and response in text.partition("<reference>")[2].partition("</reference>")[0]
    )
    answer = json.dumps({"score": 10 if is_right else 0, "reasoning": "so it is"})
    return {"output": {"message": {"content": [{"text": answer}]}}}


@each_graded_case
def test_our_grader_tells_right_from_wrong_from_malformed_in_every_form(
    build: Build, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = import_module("bedrock_sluice.rewards.graders.judge_grader")
    monkeypatch.setattr(judge, "converse", lambda: converse)
    monkeypatch.setenv("JUDGE_MODEL_ID", "amazon.nova-pro-v1:0")
    lines = lines_of(build(case)[0])
    assert case.grader
    responders: dict[str, Callable[[int], str | Json]] = {
        "right": case.right,
        "wrong": case.wrong,
        "malformed": lambda _: {"role": "user", "content": "no assistant"},
        "odd": lambda _: {"role": "assistant", "content": 7},
        "empty": lambda _: "",
    }
    for form in FORMS:
        for kind, respond in responders.items():
            outcomes = list(results(case.grader, lines, form, respond))
            assert [each["id"] for each in outcomes] == [line["id"] for line in lines]
            score = 1.0 if kind == "right" else 0.0
            is_partial = case.name == "format" and kind == "empty"
            assert {each["aggregate_reward_score"] for each in outcomes} == {
                0.5 if is_partial else score
            }
            malformed_metrics = {m["name"] for each in outcomes for m in each["metrics_list"]} & {
                "malformed"
            }
            assert bool(malformed_metrics) == (kind in ("malformed", "odd"))
