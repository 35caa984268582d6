"""In-toto statements: what a release was made of, and what was trained on it.

One statement chains log objects and tables to the files of the release, in the words of SLSA's
provenance. One more for each training job chains the release to its job and its model.
docs/papers.md describes the types of ours. Statements are not signed; tools for in-toto can do it.
"""

import json
from collections.abc import Iterable
from itertools import count
from typing import Any, Final
from urllib.parse import quote

from bedrock_sluice.flows.papers.facts import PaperFacts
from bedrock_sluice.lake.releases.jobs import JobRecord
from bedrock_sluice.lake.releases.manifest import InputObject
from bedrock_sluice.lake.stores.store import S3_SCHEME

NAME: Final = "statement.intoto.json"

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PROVENANCE_TYPE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:bedrock-sluice:build:v1"
BUILDER_ID: Final = "urn:bedrock-sluice:builder:v1"
TRAINING_TYPE: Final = "urn:bedrock-sluice:training-job:v1"

Json = dict[str, Any]


def render_statement(facts: PaperFacts) -> bytes:
    """Return the statement that log objects, tables and a recipe gave the files of a release."""
    release, recipe = facts.manifest, facts.recipe
    window = recipe.window
    times = {"since": window.since, "until": window.until}
    predicate = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "recipe": {"name": release.name, "digest": {"sha256": release.recipe_digest}},
                "window": {name: f"{t:%Y-%m-%dT%H:%M:%SZ}" for name, t in times.items() if t},
            },
            "internalParameters": {
                "release": {
                    "id": release.id,
                    "digest": {"sha256": release.digest},
                    "verdict": release.verdict,
                },
                "parent": release.parent,
                "earlierReleases": release.earlier_releases,
                "trainedBefore": release.trained_before,
            },
            "resolvedDependencies": _dependencies(facts),
        },
        "runDetails": {"builder": {"id": BUILDER_ID, "version": release.versions}},
    }
    return _encode(_statement(facts, PROVENANCE_TYPE, predicate))


def render_job_statement(facts: PaperFacts, job: JobRecord) -> bytes:
    """Return the statement that a training job was given the files of a release."""
    release = facts.manifest
    arns = {"job": job.job_arn, "model": job.model_arn}
    predicate = {
        "release": {"id": f"{release.name}/{release.id}", "digest": {"sha256": release.digest}},
        "job": {
            **({"uri": arns["job"]} if arns["job"] else {}),
            "name": job.name,
            "region": job.region,
            "lineage": job.lineage,
            "baseModel": job.request.request.get("baseModelIdentifier"),
            "status": job.status,
        },
        **({"model": {"uri": arns["model"]}} if arns["model"] else {}),
    }
    return _encode(_statement(facts, TRAINING_TYPE, predicate))


def name_of_job(job: JobRecord) -> str:
    """Return the file name of the statement about a job; lineages are words and dashes."""
    return f"job-{job.lineage}-{job.number}.intoto.json"


def _statement(facts: PaperFacts, predicate_type: str, predicate: Json) -> Json:
    digests = {name: file.sha256 for name, file in facts.manifest.files.items()}
    digests["manifest.json"] = facts.manifest_sha256
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())
        ],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def _dependencies(facts: PaperFacts) -> list[Json]:
    inputs, recipe = facts.manifest.inputs, facts.recipe
    section, rights, tombstones = recipe.grader, recipe.rights, inputs.forgotten_sha256
    grader = section.python.rpartition(":")[0] if section and section.python else ""
    return [
        *(_log_object(recipe.source.uri, each) for each in inputs.objects),
        *_tables("labels", recipe.answer.labels, inputs.labels_sha256),
        *_tables("feedback", recipe.answer.feedback, inputs.feedback_sha256),
        *_tables("evaluation", inputs.evaluation_sha256, inputs.evaluation_sha256.values()),
        *_tables("exclusions", rights.exclude_files if rights else (), inputs.exclusions_sha256),
        *_tables("reviews", (f"review {n}" for n in count(1)), inputs.reviews_sha256),
        *(_tables("forgotten", ["forgotten"], [tombstones]) if tombstones else ()),
        *(_tables("grader", [grader], [inputs.grader_sha256]) if inputs.grader_sha256 else []),
    ]


def _log_object(source: str, item: InputObject) -> Json:
    """Describe a log object; one in a folder has no URI that would mean anything elsewhere."""
    annotations: Json = {"kind": "log object", "bytes": item.size}
    if item.etag is not None:
        annotations["etag"] = item.etag
    return {
        "name": item.object,
        **_uri(f"{source.rstrip('/')}/{item.object}"),
        "digest": {"sha256": item.sha256},
        "annotations": annotations,
    }


def _tables(kind: str, names: Iterable[str], digests: Iterable[str]) -> list[Json]:
    return [
        {
            "name": name,
            **_uri(name),
            "digest": {"sha256": digest},
            "annotations": {"kind": kind},
        }
        for name, digest in zip(names, digests, strict=False)  # none in old manifests
    ]


def _uri(place: str) -> Json:
    if not place.startswith(S3_SCHEME):
        return {}
    return {"uri": S3_SCHEME + quote(place.removeprefix(S3_SCHEME))}


def _encode(statement: Json) -> bytes:
    # Names must stay exact, and characters that do not print are written as escapes.
    return json.dumps(statement, indent=2, sort_keys=True).encode() + b"\n"
