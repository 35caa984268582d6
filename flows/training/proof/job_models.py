"""The models of a job that can be called: its base, the tuned model, and checkpoints.

The OpenAI-compatible API lists the checkpoints of a job, and each can be called. For Bedrock's own
jobs AWS documents no checkpoint that can be, and a model of SageMaker needs an endpoint of its own.
"""

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from bedrock_sluice.flows.training.job import connect_to, target_of
from bedrock_sluice.flows.training.lifecycle import callable_id
from bedrock_sluice.flows.training.proof.chat_calls import chat_caller
from bedrock_sluice.flows.training.proof.model_calls import CallLine
from bedrock_sluice.flows.training.targets.base import COMPLETED
from bedrock_sluice.flows.training.targets.open_weight import OpenWeightTarget
from bedrock_sluice.flows.training.watch import find_job
from bedrock_sluice.lake.releases.job_files import read_deployment
from bedrock_sluice.lake.releases.jobs import JobRecord
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError

BASE, TUNED = "base", "tuned"
NO_CHECKPOINTS = "Bedrock offers no checkpoints of this job to call: base and tuned are compared"
CHECKPOINTS = "checkpoints that can be called: {:,}"


class CallableModel(NamedTuple):
    """A model by its id or ARN; `call` asks it for an answer, None: through `Converse`."""

    model: str
    call: CallLine | None = None


class JobModels(NamedTuple):
    """The models of a job by name, the Region of those without one, and what cannot be called."""

    models: dict[str, CallableModel]
    region: str
    note: str


def find_models(lake: Store, job: str, max_tokens: int) -> JobModels:
    """Find the models of a completed job: `base`, `tuned` and one `step-<n>` per checkpoint.

    Raises:
        ConfigError: There is no such job, it did not complete, or its model cannot be called.
        OutsideError, TransientError: The service refused, or was not reached.
    """
    record = find_job(lake, job)
    if record.status != COMPLETED or record.model_arn is None:
        raise ConfigError(
            f"job {job}: {record.status}; wait until it has completed (`sluice jobs watch`)"
        )
    target, request = target_of(record.request), record.request.request
    if isinstance(target, OpenWeightTarget):
        client = connect_to(target, record.request)
        names = {BASE: str(request["model"]), TUNED: record.model_arn}
        assert record.job_arn is not None  # it has completed
        checkpoints = target.checkpoints(client, record.job_arn)
        names |= {f"step-{step}": model for step, model in sorted(checkpoints.items())}
        models = {
            name: CallableModel(model, chat_caller(client.api, model, max_tokens))
            for name, model in names.items()
        }
        return JobModels(models, record.region, CHECKPOINTS.format(len(checkpoints)))
    if target.name != "nova":
        raise ConfigError(
            f"job {job} ran on SageMaker, whose models Bedrock does not call; host the model, and "
            "give its answers: --responses tuned=FILE"
        )
    arns = [*_active_deployments(lake, record)]
    if not arns:
        raise ConfigError(f"the model of job {job} is not deployed; run `sluice deploy`")
    base = callable_id(str(request["baseModelIdentifier"]))
    models = {BASE: CallableModel(base), TUNED: CallableModel(arns[-1])}
    return JobModels(models, record.region, NO_CHECKPOINTS)


def _active_deployments(lake: Store, record: JobRecord) -> Iterator[str]:
    """Yield the deployments of a job's model that became active, the first one first."""
    for number in count(1):
        request, end = read_deployment(lake, record, number)
        if request is None:
            return
        if end and end.status == "Active" and end.deployment_arn:
            yield end.deployment_arn
