"""The exact request for the training job of a release, checked before anything is sent.

The release holds the lines; the job settings are the recipe's [train] and its grader's Lambda. They
decide nothing about the data, so they may be others than those the release was built with.
"""

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.flows.recipe.sections import TrainSection
from bedrock_sluice.flows.training.targets.base import JobDraft, Request, train_section
from bedrock_sluice.flows.training.targets.choice import choose_target, model_fault
from bedrock_sluice.lake.releases.release import Release
from bedrock_sluice.transforms.errors import ConfigError


def job_request(release: Release, recipe: Recipe, attempt: int = 1) -> Request:
    """The request that the target of [train] is sent.

    Name and token carry the number of the attempt, so that a job that failed can be tried again.

    Raises:
        ConfigError: the recipe lacks something, names a model that can't be trained so, or the
            service would reject the request; the message has all of that.
    """
    train = train_section(recipe)
    check_model(train)
    draft = choose_target(train).draft(JobDraft(release, recipe, train, attempt))
    if error := request_error(draft.faults):
        raise error
    return draft.request


def request_error(faults: list[str]) -> ConfigError | None:
    """One error for everything that is wrong with a request; None if nothing is."""
    if not faults:
        return None
    fault_lines = "\n".join(f"  {fault}" for fault in faults)
    return ConfigError(f"AWS would reject this request. Fix the recipe:\n{fault_lines}")


def check_model(train: TrainSection) -> None:
    """See that the target of [train] trains its model.

    Raises:
        ConfigError: another target does.
    """
    if fault := model_fault(train):
        raise ConfigError(fault)
