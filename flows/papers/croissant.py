"""Croissant metadata: the dataset as JSON-LD, with the responsible-AI fields that are known.

The format is that of MLCommons, version 1.1, with the RAI vocabulary 1.0.
"""

import re
from typing import Any, Final

import msgspec

from bedrock_sluice.flows.papers.card import (
    ACTIONS,
    FIELDS,
    SOURCES,
    count_model_answers,
    find_gaps,
)
from bedrock_sluice.flows.papers.facts import PaperFacts
from bedrock_sluice.flows.review.recipe_words import window_in_words
from bedrock_sluice.transforms.printable import printable

NAME: Final = "croissant.json"

Json = dict[str, Any]

_FIELD_NAME = re.compile(r"\w[\w-]*", re.ASCII)  # what mlcroissant reads in a path
_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def render_croissant(facts: PaperFacts) -> bytes:
    """Return the Croissant metadata of a release; file URLs are relative to its folder."""
    content = msgspec.json.encode(_clean(_describe(facts)), order=None)
    return msgspec.json.format(content, indent=2) + b"\n"


def _describe(facts: PaperFacts) -> Json:
    release, settings = facts.manifest, facts.settings
    provider = settings.provider and {"@type": "sc:Organization", "name": settings.provider}
    # What is not known is left out: the validator of Croissant names it in a warning.
    optional = {
        "license": settings.license,
        "url": settings.url,
        "datePublished": settings.publication_date and settings.publication_date.isoformat(),
        "creator": provider,
        "publisher": provider,
        "inLanguage": list(facts.languages) or None,
    }
    description = settings.description or (
        "Prompts with reference answers for Reinforcement Fine-Tuning, made from Amazon Bedrock "
        "invocation logs."
    )
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [
            "http://mlcommons.org/croissant/1.1",
            "http://mlcommons.org/croissant/RAI/1.0",
        ],
        "name": facts.title,
        "description": description,
        **{name: value for name, value in optional.items() if value},
        "version": _version(facts),
        "identifier": f"{release.name}/{release.id}",
        "isLiveDataset": False,
        "keywords": ["reinforcement fine-tuning", "amazon bedrock", "chat"],
        **_rai_fields(facts),
        "distribution": [_file_object(facts, side) for side in facts.data_files],
        "recordSet": [_record_set(facts, side) for side in facts.data_files],
    }


def _version(facts: PaperFacts) -> str:
    """Return the id of the release in the form MAJOR.MINOR.PATCH that Croissant recommends."""
    return f"1.0.0+{facts.manifest.id}"


def _file_object(facts: PaperFacts, side: str) -> Json:
    file = facts.data_files[side]
    return {
        "@type": "cr:FileObject",
        "@id": f"{side}.jsonl",
        "name": f"{side}.jsonl",
        "contentUrl": f"{side}.jsonl",
        "contentSize": f"{file.bytes} B",
        "encodingFormat": "application/jsonlines",
        "sha256": file.sha256,
    }


def _record_set(facts: PaperFacts, side: str) -> Json:
    fields = [each for name in facts.fields if (each := _field(facts, side, name))]
    return {
        "@type": "cr:RecordSet",
        "@id": side,
        "name": side,
        "description": f"The lines of {side}.jsonl; fields with nested values are left out.",
        "key": {"@id": f"{side}/id"},
        "field": fields,
    }


def _field(facts: PaperFacts, side: str, name: str) -> Json | None:
    """Describe a field; None if Croissant has no type for its values."""
    if not _FIELD_NAME.fullmatch(name):
        return None
    path, shape = f"{side}/{name}", facts.fields[name]
    source = {"fileObject": {"@id": f"{side}.jsonl"}, "extract": {"column": name}}
    about = FIELDS.get(name, "an extra field, from request metadata or labels")
    head: Json = {"@type": "cr:Field", "@id": path, "name": name, "description": about}
    if name == "messages":
        keys: tuple[str, ...] = ("role", "content")
        head["repeated"] = True
    elif shape.is_flat:
        return {**head, "dataType": "sc:Text", "source": source}
    else:
        keys = tuple(key for key in shape.flat_keys if _FIELD_NAME.fullmatch(key))
    parts = [
        {
            "@type": "cr:Field",
            "@id": f"{path}/{key}",
            "name": key,
            "dataType": "sc:Text",
            "source": {**source, "transform": {"jsonPath": f"$.{key}"}},
        }
        for key in keys
    ]
    return {**head, "subField": parts} if parts else None


def _rai_fields(facts: PaperFacts) -> Json:
    release, recipe = facts.manifest, facts.recipe
    lines = release.answers.lines_by_source
    kinds = {
        action: [kind for kind, each in recipe.privacy.actions().items() if each == action]
        for action in ACTIONS
    }
    scope = f"{release.curation.prompts:,} prompts were examined"
    limits = [
        *find_gaps(facts),
        "The prompts come from the users of one application.",
        "Duplicates are dropped, so frequencies of questions are not those of the logs.",
    ]
    if number := count_model_answers(facts):
        limits.append(f"{number:,} of {facts.lines:,} reference answers were generated by a model.")
    if release.verdict == "rejected":
        limits.insert(0, "The gate rejected this release: do not train a model on it.")
    times = [f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (facts.first, facts.last) if t]
    fields: Json = {
        "rai:dataCollection": (
            f"Model invocation logs of Amazon Bedrock, {window_in_words(recipe)}; "
            f"{release.counts.records:,} records were read, and {facts.lines:,} became lines."
        ),
        "rai:dataCollectionType": ["Software collection"],
        "rai:dataCollectionTimeFrame": times,
        "rai:dataPreprocessingProtocol": [
            f"{stage.stage}: {stage.input:,} in, {stage.kept:,} kept" for stage in release.stages
        ],
        "rai:dataAnnotationProtocol": [
            f"{number:,} reference answers: {SOURCES.get(source, source)}"
            for source, number in lines.items()
        ],
        "rai:dataLimitations": limits,
        "rai:personalSensitiveInformation": [
            f"{', '.join(names)}: {ACTIONS[action]}; {scope}"
            for action, names in kinds.items()
            if names
        ],
        "rai:dataUseCases": ["Reinforcement Fine-Tuning of a language model"],
    }
    return {name: value for name, value in fields.items() if value}


def _clean(value: Any) -> Any:
    """Replace control and bidirectional characters in all texts."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return {k: _clean(v) for k, v in value.items()} if isinstance(value, dict) else value
