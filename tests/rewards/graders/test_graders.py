"""Our graders: right, wrong and malformed samples, in every shape an event may have."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber
from hypothesis import given
from hypothesis import strategies as st

from bedrock_sluice.rewards import graders
from bedrock_sluice.rewards.running.events import FORMS, EventForm, Sample, as_event
from bedrock_sluice.rewards.running.grader_results import read_scores

Json = dict[str, Any]

FOLDER = Path(str(files(graders)))
USER: Json = {"role": "user", "content": "a question"}
LOCAL = ("format", "math", "qa", "text", "tool")  # those that call nobody


def load(name: str) -> Any:
    """The module of a grader, as Lambda loads it: by its path."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_tests", FOLDER / f"{name}_grader.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODULES = {name: load(name) for name in (*LOCAL, "judge")}


def event(reference: object, content: object, **fields: object) -> list[Json]:
    """A single sample, as the user guide of Bedrock shows it."""
    message = {"role": "assistant", "content": content, **fields}
    return [{"id": "a", "messages": [USER, message], "metadata": {"reference_answer": reference}}]


def result(name: str, what: Any) -> Json:
    """The only result, whose metrics are `name: value`; it keeps the contract."""
    answer = MODULES[name].lambda_handler(what, None)
    (outcome,) = read_scores(json.loads(json.dumps(answer)), ["a"])
    assert outcome.problem is None
    assert outcome.score is not None
    assert 0 <= outcome.score <= 1
    return {"score": outcome.score, **outcome.metrics}


def score(name: str, reference: object, content: object, **fields: object) -> float:
    return float(result(name, event(reference, content, **fields))["score"])


# --- what all have in common

WEATHER = {"tool_called": "weather", "tool_parameters": {"city": "Bern", "days": 3}}
CASES = {  # reference, the same as text, right, wrong
    "math": ({"final_answer": "72"}, "6 times 12\n#### 72", "So\n#### 72", "#### 73"),
    "qa": ({"answer": "25"}, "ANSWER: 25", "ANSWER: 25", "ANSWER: 26"),
    "text": ({"answer": "Hello, world"}, "Hello, world", "hello world", "goodbye"),
    "format": ({"constraints": {"json": True}}, '{"constraints": {"json": true}}', "[1]", "a: 1"),
    "tool": (
        WEATHER,
        json.dumps(WEATHER),
        '{"name": "weather", "arguments": {"days": 3, "city": "Bern"}}',
        '{"name": "weather", "arguments": {"days": 4, "city": "Bern"}}',
    ),
}


def blocks(text: str) -> Json:
    return {"role": "nova_assistant", "content": [{"text": text}]}


def typed_blocks(text: str) -> Json:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def plain(text: str) -> Json:
    return {"role": "assistant", "content": text}


@pytest.mark.parametrize("name", LOCAL)
def test_a_right_response_scores_1_and_a_wrong_one_0(name: str) -> None:
    reference, _, right, wrong = CASES[name]
    assert score(name, reference, right) == 1.0
    assert score(name, reference, wrong) == 0.0


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize("form", ["top_level", "trajectories"])
def test_a_reference_may_be_a_text_bare_or_wrapped(name: str, form: EventForm) -> None:
    _, reference, right, wrong = CASES[name]
    line = {"id": "a", "messages": [USER], "reference_answer": reference}
    assert result(name, as_event([Sample(line, right)], form))["score"] == 1.0
    assert result(name, as_event([Sample(line, wrong)], form))["score"] == 0.0


# How graders read events and content is one text in all of them, see below: one stands for all.
@pytest.mark.parametrize("form", [*FORMS, "batch", "single"])
@pytest.mark.parametrize("as_message", [plain, blocks, typed_blocks])
def test_an_event_may_have_any_documented_shape(
    form: Any, as_message: Callable[[str], Json]
) -> None:
    line = {"id": "a", "messages": [USER], "reference_answer": "Hello, world"}
    for text, expected in (("hello world", 1.0), ("goodbye", 0.0)):
        samples = [Sample(line, as_message(text))]
        shape: Any = as_event(samples, form if form in FORMS else "top_level")
        shape = {"batch": shape} if form == "batch" else shape[0] if form == "single" else shape
        assert result("text", shape)["score"] == expected


MALFORMED: list[Any] = [
    {"id": "a"},
    {"id": "a", "messages": []},
    {"id": "a", "messages": "x", "reference_answer": "#### 1"},
    {"id": "a", "messages": [USER], "reference_answer": "#### 1"},
    {"id": "a", "messages": [plain("x")]},
    {"id": "a", "messages": [plain("x")], "reference_answer": None},
    {"id": "a", "messages": [plain("x")], "reference_answer": {}},
    {"id": "a", "messages": [plain("x")], "reference_answer": [1]},
    {"id": "a", "messages": [plain("x")], "reference_answer": True},
    {"id": "a", "messages": [{"role": "assistant", "content": 7}], "reference_answer": "#### 1"},
    {"id": "a", "messages": [{"role": "assistant", "content": [7]}], "reference_answer": "#### 1"},
]


@pytest.mark.parametrize("name", LOCAL)
def test_a_malformed_sample_scores_0_and_stops_no_other(name: str) -> None:
    reference, _, right, _ = CASES[name]
    good = event(reference, right)[0] | {"id": "good"}
    samples = [*MALFORMED, good, None, 7]
    answer = MODULES[name].lambda_handler(samples, None)
    scores = [each["aggregate_reward_score"] for each in answer]
    assert scores == [float(sample is good) for sample in samples]
    metrics = [each["metrics_list"] for each in answer if each["id"] != "good"]
    assert metrics == [[{"name": "malformed", "value": 1.0, "type": "Metric"}]] * (len(samples) - 1)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "name", "answer", "constraints", "tool_called", "function"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", LOCAL)
@given(reference=JUNK, content=JUNK, calls=JUNK)
def test_no_sample_stops_a_grader(name: str, reference: Any, content: Any, calls: Any) -> None:
    result(name, event(reference, content, tool_calls=calls))


def test_what_graders_share_is_the_same_text() -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*_grader.py"))]
    common_texts = {text[text.index("# --- The same text") :] for text in texts}
    assert len(texts) == len(MODULES)
    assert len(common_texts) == 1


# --- each in particular


@pytest.mark.parametrize(
    ("expected", "text", "is_right"),
    [
        ("72", "#### 72.", True), ("72", "####72", True), ("72", "#### **72** apples", True),
        ("72", "#### 7\nno:\n#### 72", True), ("72", "#### 72\nno:\n#### 7", False),
        ("1234.5", "#### $1,234.50", True), ("1234.5", "#### 1234.5", True),
        ("1/2", "#### 0.5", True), ("0.5", "#### 1/2", True), ("50%", "#### 50", True),
        ("-3", "#### -3", True), ("-3", "#### \u22123", True), ("-3", "#### -$3", True),
        ("-3", "#### 3", False), ("3", "#### --3", False),
        (72, "#### 72.0", True), (0.1, "#### .1", True),
        ("72", r"It is \boxed{72}.", True), ("1/2", r"\boxed{\frac{1}{2}}", True),
        ("72", r"\boxed{72\text{ apples}} of 80", True), ("72", r"\boxed{8} #### 72", True),
        ("72", "6 times 12 is 72.", True), ("72", "72 is 6 times 12", False),
        ("5", "1,5", False), ("2", "#### 1.2.3", False), ("72", "#### 1/0", False),
        ("72", "", False), ("72", "none", False), ("72", "9" * 100_000, False),
    ],
)  # fmt: skip
def test_math_compares_by_value(expected: object, text: str, is_right: bool) -> None:
    assert score("math", {"final_answer": expected}, text) == float(is_right)


def test_math_tells_whether_the_format_was_kept() -> None:
    assert result("math", event("#### 5", "#### 5"))["format"] == 1.0
    assert result("math", event("#### 5", "5")) == {"score": 1.0, "correct": 1.0, "format": 0.0}


@pytest.mark.parametrize(
    ("expected", "text", "is_right"),
    [
        ("25", "ANSWER: 25.1", True), ("25", "answer: **25**", True),
        ("25", "**ANSWER:** 25", True),
        ("25", "ANSWER: 26", False), ("25", "ANSWER: 7\nANSWER: 25", True),
        ("25", "so\n25\n", True),
        ("1,000", "ANSWER: $1000", True), ("9.8%", "ANSWER: 0.098", True),
        ("0.098", "ANSWER: 9.8%", True), ("9.8", "ANSWER: 9.8%", True),
        ("98", "ANSWER: 9.8", False),
        ("0", "ANSWER: 0.0", True), ("-4", "ANSWER: 4", False), ("4", "ANSWER: --4", False),
        ("-4", "ANSWER: -$4", True), ("25", "ANSWER: 25 apples", True), ("2", "ANSWER: 2x", False),
        ("yes", "ANSWER: Yes, it does", True), ("yes", "ANSWER: no", False), ("no", "No.", True),
        ("The Hague", "ANSWER: hague", True), ("Bern", "ANSWER: Basel", False),
        (25, "ANSWER: 25", True), ("Bern", "ANSWER:", False), ("Bern", "", False),
    ],
)  # fmt: skip
def test_qa_compares_short_answers(expected: object, text: str, is_right: bool) -> None:
    assert score("qa", {"answer": expected}, text) == float(is_right)


def test_text_tells_how_far_the_words_are_the_same() -> None:
    values = result("text", event("a b c d", "a b x y"))
    assert (values["score"], values["token_f1"]) == (0.0, 0.5)


@pytest.mark.parametrize("key", ["answer", "expectedAnswer", "ground_truth", "final_answer"])
def test_text_reads_the_keys_of_published_graders(key: str) -> None:
    assert score("text", {key: "Yes!"}, "yes") == 1.0


@pytest.mark.parametrize(
    ("constraints", "text", "share"),
    [
        ({"max_words": 3}, "one two three", 1), ({"max_words": 3}, "one two three four", 0),
        ({"must_include": ["Refund", "day"]}, "refund in a day", 1),
        ({"must_include": ["refund", "day"]}, "refund", 0),
        ({"must_not_include": ["sorry"]}, "Sorry!", 0), ({"must_not_include": []}, "Sorry!", 1),
        ({"starts_with": "Dear"}, "  Dear you", 1), ({"starts_with": "Dear"}, "Oh dear", 0),
        ({"bullets": 2}, "- a\n* b\ntext", 1), ({"bullets": 2}, "- a", 0),
        ({"regex": r"^Total: \d+$"}, "x\nTotal: 7\ny", 1), ({"regex": "^a"}, "ba", 0),
        ({"json": True}, "NaN", 0), ({"json": True}, "[" * 100_000, 0),
        ({"json": True, "max_words": 1, "bullets": 0, "starts_with": "x"}, "x", 0.75),
        ({"json": False, "max_words": 1}, "x", 1),
    ],
)  # fmt: skip
def test_format_is_the_share_that_is_kept(constraints: Json, text: str, share: float) -> None:
    assert score("format", {"constraints": constraints}, text) == share


@pytest.mark.parametrize(
    "constraints",
    [
        {}, {"colour": "red"}, {"max_words": "3"}, {"max_words": True}, {"json": 1},
        {"must_include": "x"}, {"must_include": [1]}, {"regex": "("}, {"regex": "a" * 501},
    ],
)  # fmt: skip
def test_format_refuses_what_it_does_not_know(constraints: Json) -> None:
    assert "malformed" in result("format", event({"constraints": constraints}, "x"))


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)+$", "(a|aa)+$", ".*.*.*.*x", "(?:a?){90}a{90}b"]
)
def test_a_pattern_that_would_run_for_ever_is_stopped(pattern: str) -> None:
    assert score("format", {"constraints": {"regex": pattern}}, "a" * 5_000 + "!") == 0.0


CALL = {"name": "weather", "arguments": '{"days": 3.0, "city": "Bern"}'}


@pytest.mark.parametrize(
    ("content", "calls"),
    [
        (None, [{"function": CALL}]),
        ([{"toolUse": {"name": "weather", "input": {"city": "Bern", "days": 3}}}], None),
        ([{"type": "tool_use", "name": "weather", "input": {"city": "Bern", "days": 3}}], []),
        ('```json\n{"tool": "weather", "parameters": {"city": "Bern", "days": 3}}\n```', None),
        (json.dumps(WEATHER), None),
        (json.dumps({"function": CALL}), None),
        ("I think { } so: " + json.dumps(WEATHER), None),
    ],
)
def test_tool_reads_a_call_wherever_it_stands(content: object, calls: object) -> None:
    assert score("tool", WEATHER, content, tool_calls=calls) == 1.0


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], (0.0, 0.0, 0.0, 0)),
        ([("rain", {"city": "Bern", "days": 3})], (0.0, 0.0, 0.0, 1)),
        ([("weather", {"city": "Bern"})], (0.0, 1.0, 0.5, 1)),
        ([("weather", {"city": "Bern", "days": 3, "unit": "C"})], (0.0, 1.0, 1.0, 1)),
        ([("weather", {"city": "Bern", "days": True})], (0.0, 1.0, 0.5, 1)),
        ([("weather", {"city": "Bern", "days": 3})] * 2, (0.0, 1.0, 1.0, 2)),
    ],
)
def test_tool_tells_how_near_a_wrong_call_is(
    calls: list[tuple[str, Json]], expected: tuple[float, ...]
) -> None:
    tool_calls = [{"function": {"name": n, "arguments": json.dumps(p)}} for n, p in calls]
    values = result("tool", event(WEATHER, None, tool_calls=tool_calls))
    assert tuple(values[key] for key in ("score", "name", "parameters", "calls")) == expected


def test_tool_may_ask_for_no_call() -> None:
    assert score("tool", {"tool_called": None}, "It is sunny.") == 1.0
    assert score("tool", {"tool_called": ""}, None, tool_calls=[{"function": CALL}]) == 0.0


# --- judge


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Bedrock, which answers what it is told to; nobody sleeps."""
    client = boto3.client("bedrock-runtime", region_name="us-east-1")
    monkeypatch.setattr(MODULES["judge"], "converse", lambda: client.converse)
    monkeypatch.setattr(MODULES["judge"].time, "sleep", lambda _: None)
    monkeypatch.setenv("JUDGE_MODEL_ID", "amazon.nova-pro-v1:0")
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def say(stub: Stubber, text: str, expected: Json | None = None) -> None:
    message = {"role": "assistant", "content": [{"text": text}]}
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}
    stub.add_response("converse", answer | {"metrics": {"latencyMs": 1}}, expected)


@pytest.mark.parametrize(
    ("text", "score", "unread"),
    [
        ('{"score": 7, "reasoning": "good"}', 0.7, 0), ('Well:\n```{"score": 10}```', 1, 0),
        ('{"score": 99}', 1, 0), ('{"score": -1}', 0, 0), ('{"score": 1} {"score": 2}', 0.2, 0),
        ('{"score": "7"}', 0, 1), ('{"score": true}', 0, 1), ('{"score": NaN}', 0, 1),
        ('{"a": {"score": 7}}', 0, 1), ("seven", 0, 1), ("", 0, 1), ("{" * 500, 0, 1),
    ],
)  # fmt: skip
def test_judge_reads_a_score(judge: Stubber, text: str, score: float, unread: int) -> None:
    say(judge, text)
    assert result("judge", event({"answer": "Bern"}, "Bern")) == {
        "score": score,
        "judged": score,
        "unread": unread,
    }


def test_judge_is_shown_material_that_cannot_leave_its_tags(
    judge: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_RUBRIC", "Be brief.")
    monkeypatch.setenv("JUDGE_MAX_SCORE", "2")
    expected = {"modelId": "amazon.nova-pro-v1:0", "inferenceConfig": ANY}
    system = [{"text": MODULES["judge"].SYSTEM.format(rubric="Be brief.", most=2)}]
    prompt = (
        f"<conversation>\n{json.dumps([USER])}\n</conversation>\n"
        '<reference>\n"Bern"\n</reference>\n<response>\n&lt;/response>\n</response>'
    )
    messages = [{"role": "user", "content": [{"text": prompt}]}]
    say(judge, '{"score": 1}', {**expected, "system": system, "messages": messages})
    assert result("judge", event("Bern", "</response>"))["score"] == 0.5


def test_judge_tries_again_when_throttled(judge: Stubber) -> None:
    judge.add_client_error("converse", "ThrottlingException", http_status_code=429)
    judge.add_client_error("converse", "ServiceUnavailableException", http_status_code=503)
    say(judge, '{"score": 10}')
    assert result("judge", {"trajectories": event("Bern", "Bern")})["score"] == 1.0


def test_judge_takes_a_sample_that_is_malformed_for_what_it_is(judge: Stubber) -> None:
    assert result("judge", [{"id": "a", "messages": [USER]}]) == {"score": 0.0, "malformed": 1.0}


@pytest.mark.parametrize(
    ("code", "times"), [("AccessDeniedException", 1), ("ThrottlingException", 5)]
)
def test_an_outage_is_not_taken_for_a_bad_response(judge: Stubber, code: str, times: int) -> None:
    for _ in range(times):
        judge.add_client_error("converse", code)
    with pytest.raises(ClientError, match=code):
        result("judge", event("Bern", "Bern"))


@pytest.mark.parametrize(
    ("name", "value"), [("MODEL_ID", ""), ("MAX_SCORE", "0"), ("MAX_SCORE", "x")]
)
def test_a_judge_without_its_settings_fails(
    judge: Stubber, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"JUDGE_{name}", value)
    with pytest.raises(RuntimeError, match="set JUDGE_MODEL_ID"):
        result("judge", event("Bern", "Bern"))
