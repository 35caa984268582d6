"""The target of a job: the one that [train] names, or the one that trains its model."""

import re

from bedrock_sluice.flows.recipe.sections import TargetName, TrainSection
from bedrock_sluice.flows.training.targets.base import Place, Target
from bedrock_sluice.flows.training.targets.nova import NovaTarget
from bedrock_sluice.flows.training.targets.open_weight import OpenWeightTarget
from bedrock_sluice.flows.training.targets.sagemaker import SageMakerTarget

TARGETS: dict[TargetName, Target] = {
    "nova": NovaTarget(),
    "open_weight": OpenWeightTarget(),
    "sagemaker": SageMakerTarget(),
}
REGIONS = {  # that train a model, as AWS documents them; by how the model's id begins
    "amazon.nova-2-lite": ("us-east-1",),
    "openai.gpt-oss": ("us-west-2",),
    "qwen.qwen3": ("us-west-2",),
}
_OPEN_WEIGHT = ("openai.", "qwen.")  # providers whose models only the OpenAI-compatible API trains
_HUB_MODEL = re.compile(r"arn:[^:]+:sagemaker:[^:]*:[^:]*:hub-content/.*")


def choose_target(train: TrainSection) -> Target:
    """The target of [train]."""
    if train.target:
        return TARGETS[train.target]
    if _HUB_MODEL.fullmatch(train.model):
        return TARGETS["sagemaker"]
    is_open = train.model.rpartition("/")[2].startswith(_OPEN_WEIGHT)
    return TARGETS["open_weight" if is_open else "nova"]


def model_fault(train: TrainSection) -> str | None:
    """Why the target can't train the model, if that is known."""
    fitting = choose_target(train.model_copy(update={"target": None}))
    if train.target and fitting.name != train.target:
        return (
            f"[train] target: {train.target} can't train {train.model}; leave target out, or write "
            f'"{fitting.name}"'
        )
    return None


def region_fault(train: TrainSection, region: str | None) -> str | None:
    """Why no job may run in a Region; None if it may, or where AWS documents nothing.

    A Region that [train] names itself is taken at its word: AWS may have added it.
    """
    model = train.model.rpartition("/")[2]
    regions = next((each for start, each in REGIONS.items() if model.startswith(start)), None)
    if regions is None or region in regions or train.region or not region:
        return None
    return (
        f"{train.model} is trained in {' or '.join(regions)}, and the AWS settings name {region}; "
        f'set region = "{regions[0]}" in [train], or AWS_DEFAULT_REGION'
    )


def job_place(train: TrainSection) -> Place:
    """Where the recipe wants the job to run."""
    return Place(train.region, train.base_url or "")
