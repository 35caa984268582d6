"""Graders that behave, and graders that don't: each sample has one clear result, within limits."""

import os
import select
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bedrock_sluice.rewards import graders
from bedrock_sluice.rewards.running.events import FORMS, Sample
from bedrock_sluice.rewards.running.grader_results import GraderResult
from bedrock_sluice.rewards.running.process import LocalGrader
from bedrock_sluice.rewards.running.run import (
    MAX_LOST_CALLS,
    run_grader,
)
from bedrock_sluice.transforms.errors import (
    ConfigError,
)

Json = dict[str, Any]
Write = Callable[..., LocalGrader]

MB = 1 << 20
SECRET = "hidden-content"
ALONE = "graded alone, because its batch failed"


def samples(number: int) -> list[Sample]:
    """Lines `0`, `1`, …, each with its own number as a right answer."""
    messages = {"messages": [{"role": "user", "content": SECRET}]}
    right = {str(n): f"#### {n}" for n in range(number)}
    return [Sample({"id": i, "reference_answer": r, **messages}, r) for i, r in right.items()]


@pytest.fixture
def grader(tmp_path: Path) -> Write:
    """Write a grader that does `body` for each sample `s`, after `top`, and scores it 1."""

    def write(body: str, top: str = "") -> LocalGrader:
        (tmp_path / "grader.py").write_text(
            f"import os, sys, time\n{top}\n"
            "def lambda_handler(event, context):\n"
            "    rows = []\n"
            "    for s in event:\n"
            "        row = {'id': s['id'], 'aggregate_reward_score': 1.0}\n"
            f"        {body}\n"
            "        rows.append(row)\n"
            "    return rows\n"
        )
        return LocalGrader("grader.py:lambda_handler", tmp_path)

    return write


def run(grader: LocalGrader, number: int = 3, **limits: Any) -> list[GraderResult]:
    limits = {"timeout_seconds": 5.0, "memory_bytes": 512 * MB, **limits}
    return list(run_grader(grader, samples(number), **limits))


@pytest.mark.parametrize("form", FORMS)
def test_our_own_grader_scores_every_form_in_order(form: Any) -> None:
    ours = LocalGrader("math_grader.py:lambda_handler", Path(str(files(graders))))
    results = run(ours, 5, batch_size=2, form=form)
    assert [(each.id, each.score) for each in results] == [(str(n), 1.0) for n in range(5)]
    assert {each.problem or each.note for each in results} == {None}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("if s['id'] == '1': raise ValueError(s)", "the grader raised ValueError"),
        ("if s['id'] == '1': sys.exit(2)", "the grader raised SystemExit"),
        ("if s['id'] == '1': os._exit(3)", "the grader ended its process with exit code 3"),
        ("if s['id'] == '1': os.abort()", "the grader was ended by SIGABRT"),
        ("if s['id'] == '1': os.kill(os.getpid(), 9)", "the grader was ended by SIGKILL"),
        (
            "if s['id'] == '1': row['x'] = {1}",
            "the grader answered with what is no JSON (TypeError)",
        ),
        (
            "if s['id'] == '1': bytearray(4 << 30)",
            "the grader raised MemoryError: it needs more than its 512 MB",
        ),
        (
            "if s['id'] == '1': row['x'] = 'x' * (7 << 20)",
            "the grader answered with more than the 6 MB that Lambda returns",
        ),
        (
            "if s['id'] == '1': os.closerange(3, 99); time.sleep(60)",
            "the grader gave no answer within 1 s",
        ),
        ("while s['id'] == '1': pass", "the grader gave no answer within 1 s"),
        (
            "if s['id'] == '1': os.fork() or time.sleep(60); os._exit(3)",
            "the grader ended its process with exit code 3",
        ),
    ],
)
def test_the_guilty_sample_is_named_and_the_others_have_their_scores(
    grader: Write, body: str, problem: str
) -> None:
    first, guilty, last = run(grader(body), timeout_seconds=1.0)
    assert (guilty.score, guilty.problem) == (None, problem)
    assert [(each.score, each.note) for each in (first, last)] == [(1.0, ALONE)] * 2
    assert SECRET not in str((first, guilty, last))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            "row['aggregate_reward_score'] = float('nan')",
            "aggregate_reward_score is NaN or infinite",
        ),
        ("del row['aggregate_reward_score']", "aggregate_reward_score is missing"),
        ("if s['id'] != '0': continue", "no result for this id"),
        ("return {'score': 1}", "the answer is an object; return a list with one object a sample"),
    ],
)
def test_an_answer_against_the_contract_is_told(grader: Write, body: str, problem: str) -> None:
    assert run(grader(body))[1].problem == problem


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("print('x' * 999_999)", "printed 3,000,000 bytes"),
        ("os.write(1, b'x' * 1_000_000); os.write(2, b'y')", "printed 3,000,003 bytes"),
        ("os.fork() or time.sleep(600)", "left a process running"),
    ],
)
def test_what_disturbs_nobody_is_noted(grader: Write, body: str, note: str) -> None:
    assert {(each.score, each.problem, each.note) for each in run(grader(body))} == {
        (1.0, None, note)
    }


@pytest.mark.parametrize(
    "left",
    [
        "os.fork() or time.sleep(600)",
        "os.fork() or (os.setsid(), os.fork() and os._exit(0), time.sleep(600))",
    ],
    ids=["child", "daemon"],
)
def test_a_process_that_a_grader_left_is_ended_with_it(
    grader: Write, tmp_path: Path, left: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    open_call = f"os.open({str(tmp_path / 'fifo')!r}, os.O_WRONLY); {left}; time.sleep(0.3)"
    assert run(grader(open_call), 1)[0].score == 1.0
    assert select.select([reader], [], [], 10)[0]  # which comes once nobody is left to write
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_forked_grader_answers_once(grader: Write) -> None:
    results = run(grader("os.fork()"), 2, batch_size=1)
    assert [(each.id, each.score) for each in results] == [("0", 1.0), ("1", 1.0)]


def test_a_grader_reads_nothing_from_its_caller(grader: Write) -> None:
    assert {each.score for each in run(grader("assert sys.stdin.read() == ''"))} == {1.0}


def test_a_grader_sees_no_credentials(
    grader: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "me"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    monkeypatch.setenv("HOME", str(home))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "MY_TOKEN"):
        monkeypatch.setenv(name, "default")
    count_unknown = "row['aggregate_reward_score'] = len([k for k in os.environ if k not in KNOWN])"
    known_names = (
        "KNOWN = {'PATH', 'LANG', 'TMPDIR', 'HOME', 'AWS_EC2_METADATA_DISABLED', 'LC_CTYPE'}"
    )
    other_code = (
        "import boto3\nassert boto3.Session().get_credentials() is None\n"
        "assert not os.listdir(os.path.expanduser('~'))"
    )
    assert [
        each.score for each in run(grader(count_unknown, f"{known_names}\n{other_code}"), 1)
    ] == [0.0]


def test_a_grader_has_the_context_of_a_lambda(grader: Write) -> None:
    body = "assert 0 < context.get_remaining_time_in_millis() <= 5000"
    assert run(grader(f"{body} and context.memory_limit_in_mb == 512"), 1)[0].problem is None


def test_a_grader_that_is_lost_again_and_again_is_given_up(grader: Write) -> None:
    results = run(grader("os._exit(1)"), 30)
    given_up = [each for each in results if (each.problem or "").startswith("not graded")]
    assert len(results) == 30
    assert len(given_up) == 30 - (MAX_LOST_CALLS - 1)  # the first loss was that of the batch


def test_nothing_is_left_on_disk(
    grader: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    writing_grader = grader(
        "open('x', 'w').close(); open(os.environ['TMPDIR'] + '/y', 'w').close()"
    )
    assert run(writing_grader, 1)[0].problem is None
    assert list((tmp_path / "tmp").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grader.py", "tmp"]


@pytest.mark.parametrize(
    ("python", "top", "message"),
    [
        ("grader.py", "", "write path/grader.py:lambda_handler"),
        ("grader.py:not a name", "", "write path/grader.py:lambda_handler"),
        ("other.py:lambda_handler", "", "other.py: there is no such file"),
        ("grader.py:other", "", "can't be loaded: no other"),
        ("grader.py:time", "", "can't be loaded: no time"),
        ("grader.py:lambda_handler", "import not_there", "it raised ModuleNotFoundError"),
        ("grader.py:lambda_handler", "(", "it raised SyntaxError"),
        ("grader.py:lambda_handler", "os._exit(4)", "it ended its process with exit code 4"),
    ],
)
def test_a_grader_that_cannot_be_loaded_is_told_before_any_score(
    grader: Write, python: str, top: str, message: str
) -> None:
    local_grader = grader("", top)
    with pytest.raises(ConfigError, match=message):
        run(LocalGrader(python, local_grader.base))


def test_a_grader_that_hangs_while_it_is_loaded_is_stopped(
    grader: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedrock_sluice.rewards.running.process.LOAD_SECONDS", 0.5)
    with pytest.raises(ConfigError, match=r"it gave no answer within 0\.5 s"):
        run(grader("", "while True: pass"))


def test_samples_are_split_until_lambda_would_take_them(
    grader: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bedrock_sluice.rewards.running.run.MAX_EVENT_BYTES", 500)
    few = samples(5)
    few[2] = Sample(few[2].line, "x" * 500)
    results = list(run_grader(grader("row['aggregate_reward_score'] = len(event)"), few))
    assert [each.score for each in results] == [2.0, 2.0, None, 2.0, 2.0]
    assert (results[2].problem or "").startswith("its event is larger than")


def test_a_large_event_is_handed_over_whole(grader: Write) -> None:
    big = [Sample(samples(1)[0].line, "x" * (3 * MB))]
    local_grader = grader("row['aggregate_reward_score'] = len(s['messages'][-1]['content'])")
    assert [each.score for each in run_grader(local_grader, big)] == [3.0 * MB]
