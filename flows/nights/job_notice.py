"""The message about a job that ended or looks unhealthy: ids and numbers, never content.

Best effort, and once: a job that a watcher sees running is marked in the lake, so its end is told
even if that watcher is killed, and ends of long ago are not.
"""

from typing import Any

import msgspec

from bedrock_sluice.flows.nights.notice import SCHEMA_VERSION, send_notice
from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.flows.training.targets.base import COMPLETED, FAILED, STOPPED
from bedrock_sluice.flows.training.watch import JobState
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.curate.trained_before import RESERVED

_ENDS = frozenset({COMPLETED, FAILED, STOPPED})


def notify_job(address: str, lake: Store, state: JobState) -> None:
    """Send what is new about a job: that it ended, or that it looks unhealthy; each once.

    A failure is logged, without the address, which may be secret, and tried again by the next poll.
    """
    if state.job is None:
        return
    mark = f"notices/jobs/{state.job}-open.json"
    if state.state == RESERVED and lake.entry(mark) is None:
        lake.put_new(mark, _encode({"schema_version": SCHEMA_VERSION}))
    if state.findings:
        _send_once(address, lake, state, "unhealthy")
    if state.status in _ENDS and lake.entry(mark):
        _send_once(address, lake, state, state.status.lower())


def _send_once(address: str, lake: Store, state: JobState, event: str) -> None:
    key = f"notices/jobs/{state.job}-{event}.json"
    if lake.entry(key):
        return
    message = _message(state, event)
    try:
        send_notice(address, f"{state.job} {event}", message)
    except Exception as error:
        logger.warning("the notice of job %s was not sent: %s", state.job, type(error).__name__)
        return
    lake.put_new(key, _encode(message))


def _message(state: JobState, event: str) -> dict[str, Any]:
    """What is sent; what the service says of a failure stays out, for it may quote anything."""
    findings = [{"rule": each.rule, "step": each.step} for each in state.findings]
    numbers = {role: each.last for role, each in state.metrics.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "event": event,
        "job": state.job,
        "release": state.release,
        "status": state.status,
        "findings": findings,
        "was_stopped": state.was_stopped,
        "last": numbers,
        "advice": state.advice,
    }


def _encode(message: dict[str, Any]) -> bytes:
    return msgspec.json.encode(message) + b"\n"
