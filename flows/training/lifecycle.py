"""The lifecycle of the models that a job needs: one that ends soon is worth a warning.

What can't be found out is a warning, too: many callers may not read models, and a model may be one
that this version of the API does not list. The request for the job is the test of that.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.flows.training.service_model import faults
from bedrock_sluice.lake.aws import error_code, make_client, remedy, unreachable_error
from bedrock_sluice.transforms.errors import ConfigError, OutsideError

OPERATION = "GetFoundationModel"
_LEGACY = "LEGACY"
_REASONS = {
    "AccessDeniedException": f"the caller needs bedrock:{OPERATION}",
    "ResourceNotFoundException": "Bedrock does not list it in this Region",
    "ValidationException": "Bedrock does not list it",
}


_CONTEXT = re.compile(r":\d+k$")


def callable_id(model: str) -> str:
    """Return the id by which a base model is called: without the length of its context.

    Only customization and provisioned throughput take `amazon.nova-2-lite-v1:0:256k`.
    """
    return _CONTEXT.sub("", model)


def check_models(train: TrainSection, region: str | None, now: datetime) -> list[str]:
    """Warnings about the base model and the judge of a job.

    A base model that is a custom model, or one of a SageMaker hub, has no lifecycle to read.

    Raises:
        ConfigError: a model is at its end of life.
        OutsideError: Bedrock can't be reached, or the credentials are not valid.
    """
    models = {"model": train.model, "judge_model": train.judge_model}
    client = None
    warnings = list[str]()
    for key, model in models.items():
        if model and has_lifecycle(model):
            client = client or make_client("bedrock", region)
            warnings += _check(client, key, model, now)
    return warnings


def has_lifecycle(model: str) -> bool:
    """Whether Bedrock can be asked about a model, by the form of its id."""
    return not faults("bedrock", OPERATION, {"modelIdentifier": model})


def _check(client: Any, key: str, model: str, now: datetime) -> Iterator[str]:
    try:
        lifecycle = client.get_foundation_model(modelIdentifier=model)["modelDetails"].get(
            "modelLifecycle", {}
        )
    except ClientError as error:
        if advice := remedy(error):
            raise OutsideError(
                f"Bedrock refused {OPERATION} ({error_code(error)}); {advice}"
            ) from None
        reason = _REASONS.get(error_code(error), error_code(error))
        yield f"the lifecycle of {model} could not be checked: {reason}"
        return
    except BotoCoreError as error:
        raise unreachable_error(error, "Bedrock") from None
    end = lifecycle.get("endOfLifeTime")
    if end and end <= now:
        raise ConfigError(
            f"{model} reached its end of life on {end:%Y-%m-%d}; name another {key} in [train]"
        )
    if lifecycle.get("status") == _LEGACY:
        when = f" and ends on {end:%Y-%m-%d}" if end else ""
        yield f"{model} is a legacy model{when}; plan to name another {key} in [train]"
