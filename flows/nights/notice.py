"""The message that a release waits for people: counts and ids, never content. Best effort."""

from typing import Any
from urllib.request import Request, urlopen

import msgspec

from bedrock_sluice.flows.running.stage_log import logger
from bedrock_sluice.lake.releases.release import Release

SCHEMA_VERSION = 1
TIMEOUT_SECONDS = 10.0
SUBJECT_CHARS = 100  # what SNS takes


def notify_once(address: str, release: Release, doubts: list[str]) -> bool:
    """Send the message about a release if that was not done before; return whether it is sent.

    A failure is logged, without the address, which may be secret, and tried again by the next run.
    """
    key = f"notices/{release.name}/{release.id}.json"
    if release.lake.entry(key):
        return True
    message = _message(release, doubts)
    try:
        send_notice(address, f"{message['recipe']} {message['verdict']}", message)
    except Exception as error:
        logger.warning("the notice of %s was not sent: %s", release.id, type(error).__name__)
        return False
    release.lake.put_new(key, msgspec.json.encode(message) + b"\n")
    return True


def _message(release: Release, doubts: list[str]) -> dict[str, Any]:
    manifest = release.manifest
    command = f"sluice approve {release.uri} --by NAME" if release.is_passed else None
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": release.name,
        "release": release.uri,
        "verdict": manifest.verdict,
        "records": manifest.counts.records,
        "train": manifest.counts.train,
        "validation": manifest.counts.validation,
        "doubts": doubts,
        "command": command,
    }


def send_notice(address: str, subject: str, message: dict[str, Any]) -> None:
    """Send a message to an address that takes JSON, or to an SNS topic.

    Raises:
        Exception: it could not be sent, for any reason.
    """
    content = msgspec.json.encode(message)
    if not address.startswith("arn:"):
        request = Request(address, content, {"Content-Type": "application/json"})  # noqa: S310 - the recipe takes http and https alone
        with urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - the same
            return
    import boto3  # noqa: PLC0415 - it takes its time
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS)
    client = boto3.client("sns", region_name=address.split(":")[3], config=config)
    text = f"Sluice: {subject}"[:SUBJECT_CHARS]
    client.publish(TopicArn=address, Subject=text, Message=content.decode())
