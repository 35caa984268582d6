"""The policies of several recipes, each once, and the roles that they are attached to."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bedrock_sluice.flows.access.policies import Document, documents, make_grant
from bedrock_sluice.flows.access.statements import Policy, file, policy
from bedrock_sluice.flows.recipe import Recipe

NIGHTLY, TRAINER, DEPLOYER = "nightly", "trainer", "deployer"
ROLE_NAMES = {role: f"sluice-{role}" for role in (NIGHTLY, TRAINER, DEPLOYER)}
_ROLES = {
    "caller-logs": (NIGHTLY,),
    "caller-lake": (NIGHTLY, TRAINER, DEPLOYER),
    "caller-nightly": (NIGHTLY,),
    "caller-train": (TRAINER,),
    "caller-deploy": (DEPLOYER,),
}
"""The roles that have each policy of who calls Sluice."""

_TRUST, _JOB, _BUCKET, _MODEL_KEY = "job-role-trust", "job-role", "log-bucket", "model-key"


class CallerPolicy(NamedTuple):
    """A policy of who calls Sluice, and the roles that have it."""

    key: str
    roles: Sequence[str]


class JobRole(NamedTuple):
    """The role of a training job: its trust and its policies, by their keys."""

    key: str
    name: str
    path: str
    trust_key: str
    policy_keys: list[str]


class BucketPolicy(NamedTuple):
    """The policy of a bucket of logs."""

    key: str
    bucket: str


class Grants(NamedTuple):
    """The policies by key, `<recipe>-<name of the policy>`, and what each is for."""

    policies: Mapping[str, Policy]
    caller_policies: Sequence[CallerPolicy]
    job_roles: Sequence[JobRole]
    bucket_policies: Sequence[BucketPolicy]
    model_keys: Sequence[str]

    @property
    def caller_roles(self) -> list[str]:
        """The roles of who calls Sluice."""
        roles = {role for each in self.caller_policies for role in each.roles}
        return [role for role in ROLE_NAMES if role in roles]


def grant_recipes(
    recipes: Sequence[Recipe], account: str | None = None, keys: Sequence[str] = ()
) -> Grants:
    """Collect the policies of `sluice iam`; those that several recipes share, once.

    Raises:
        ConfigError: the account of a recipe is not known.
    """
    policies, keys_by_policy = dict[str, Policy](), dict[str, str]()
    callers, models = dict[str, set[str]](), list[str]()
    jobs, buckets = dict[str, JobRole](), dict[str, BucketPolicy]()
    for recipe in recipes:
        own = {each.name: each for each in documents(make_grant(recipe, account, keys))}
        for name, document in own.items():
            key = _key_of(recipe, document, keys_by_policy)
            is_new = key not in policies
            policies[key] = document.content
            if name in _ROLES:
                callers.setdefault(key, set()).update(_roles(recipe, name))
            elif name == _MODEL_KEY and is_new:
                models.append(key)
            elif name == _BUCKET and (place := file(recipe.source.uri)):
                first = buckets.setdefault(place.bucket, BucketPolicy(key, place.bucket))
                _merge(policies, first.key, document.content)
            elif name == _JOB and recipe.train and recipe.train.role_arn and _TRUST in own:
                trust_key = _key_of(recipe, own[_TRUST], keys_by_policy)
                job = jobs.setdefault(
                    recipe.train.role_arn, _job_role(recipe.train.role_arn, trust_key)
                )
                _merge(policies, job.trust_key, own[_TRUST].content)
                if key not in job.policy_keys:
                    job.policy_keys.append(key)
    keys_in_use = {each.key for each in buckets.values()} | {*callers, *models}
    keys_in_use |= {key for job in jobs.values() for key in (job.trust_key, *job.policy_keys)}
    return Grants(
        {key: content for key, content in policies.items() if key in keys_in_use},
        [CallerPolicy(key, sorted(roles)) for key, roles in callers.items()],
        [*jobs.values()],
        [*buckets.values()],
        models,
    )


def _roles(recipe: Recipe, document: str) -> Sequence[str]:
    """Return the roles that have a policy: a nightly that starts jobs may do what that takes."""
    is_starting = document == "caller-train" and recipe.nightly.policy.startswith("train")
    return (*_ROLES[document], NIGHTLY) if is_starting else _ROLES[document]


def _merge(policies: dict[str, Policy], key: str, content: Policy) -> None:
    """Add the statements of a policy to another one: a bucket and a role's trust have one each."""
    policies[key] = policy([*policies[key]["Statement"], *content["Statement"]])


def _key_of(recipe: Recipe, document: Document, keys_by_policy: dict[str, str]) -> str:
    """Return the key of a policy: that of the first recipe that needs the same one."""
    identity = f"{document.name} {document.content}"
    return keys_by_policy.setdefault(identity, f"{recipe.name}-{document.name}")


def _job_role(arn: str, trust_key: str) -> JobRole:
    path, _, name = arn.partition(":role/")[2].rpartition("/")
    return JobRole(f"job-{name}", name, f"/{path}/" if path else "/", trust_key, [])
