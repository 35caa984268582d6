"""Parallel work: results come in the order of the tasks, errors as they were raised."""

import os

import pytest

from bedrock_sluice.flows.running.executor import MIN_PROCESS_BYTES, in_order, keep_processes
from bedrock_sluice.transforms.errors import InputError, TransientError

LITTLE, MUCH = 0, MIN_PROCESS_BYTES


def square(number: int) -> int:
    """A task."""
    return number * number


def refuse(number: int) -> int:
    """A task that fails for 3."""
    if number == 3:
        raise InputError("decode_bad_json", "the third")
    return number


def die(_number: int) -> int:
    """A task whose process is killed."""
    os._exit(9)


@pytest.mark.parametrize("size", [LITTLE, MUCH])
def test_results_come_in_order(size: int) -> None:
    assert list(in_order(abs, range(-50, 0), size)) == list(range(50, 0, -1))


@pytest.mark.parametrize("size", [LITTLE, MUCH])
def test_an_error_of_a_task_is_raised_as_it_was(size: int) -> None:
    results = in_order(int, ["1", "2", "x", "4"], size)
    with pytest.raises(ValueError, match="invalid literal"):
        list(results)


def test_a_refusal_keeps_its_reason() -> None:
    with pytest.raises(InputError, match="the third") as error:
        list(in_order(refuse, range(5), LITTLE))
    assert error.value.reason == "decode_bad_json"


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: no processes are started")
def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(TransientError, match="a worker process died"):
        list(in_order(os._exit, [9], MUCH))


def process_id(_number: int) -> int:
    """A task that tells its process."""
    return os.getpid()


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: no processes are started")
def test_processes_are_kept_for_the_next_stage_and_build_until_one_dies() -> None:
    with keep_processes():
        with keep_processes():
            first = set(in_order(process_id, range(50), MUCH))
        assert first & set(in_order(process_id, range(50), MUCH))
        with pytest.raises(TransientError):
            list(in_order(os._exit, [9], MUCH))
        later = set(in_order(process_id, range(50), MUCH))
    assert first.isdisjoint(later)
    assert os.getpid() not in first | later
    for pid in later:  # the block has ended, and they with it
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
