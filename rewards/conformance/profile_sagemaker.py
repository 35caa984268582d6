"""Profiles of serverless RLVR in SageMaker AI: another place to train, by another API.

Models of open weight take lines in the shape of verl: `prompt` and `reward_model`. Nova takes
Bedrock's shape. Sources: SageMaker AI developer guide, "RFT"; `verl.json` and `dataset_validation`
in the package sagemaker-train, which look at the types of fields alone.
"""

from typing import Any

from bedrock_sluice.rewards.conformance import chat_rules as rules
from bedrock_sluice.rewards.conformance.profile import ParsedLine, Profile, Rule
from bedrock_sluice.rewards.conformance.profile_bedrock import SHARED

_TEXTS = ("id", "data_source", "ability", "difficulty")
_OBJECTS = ("reward_model", "extra_info")


def _is_prompt(prompt: object) -> bool:
    if not isinstance(prompt, list) or not prompt:
        return isinstance(prompt, str) and bool(prompt.strip())
    texts = [(each.get("role"), each.get("content")) for each in prompt if isinstance(each, dict)]
    return len(texts) == len(prompt) and all(isinstance(t, str) for pair in texts for t in pair)


def _has_wrong_type(parsed_line: ParsedLine) -> bool:
    line = parsed_line.line
    return any(key in line and not isinstance(line[key], str) for key in _TEXTS) or any(
        key in line and not isinstance(line[key], dict) for key in _OBJECTS
    )


def _of(parsed_line: ParsedLine, key: str, field: str) -> Any:
    value = parsed_line.line.get(key)
    return value.get(field) if isinstance(value, dict) else None


_VERL = Profile(
    name="sagemaker-rlvr",
    kind="elsewhere",
    about="SageMaker serverless RLVR, models of open weight (verl)",
    rules=(
        Rule(
            "prompt",
            "`prompt` is neither a list of objects with `role` and `content` as texts nor a text",
            "give the prompt as a list of messages",
            lambda s: not _is_prompt(s.line.get("prompt")),
        ),
        Rule(
            "prompt-text",
            "`prompt` is a text, which the SDK calls a legacy format",
            "give the prompt as a list of messages",
            lambda s: isinstance(s.line.get("prompt"), str),
            "warning",
        ),
        Rule(
            "field-types",
            f"one of {', '.join(_TEXTS)} is not a text, "
            f"or one of {', '.join(_OBJECTS)} is not an object",
            "write these fields as the SDK's schema has them, or leave them out",
            _has_wrong_type,
        ),
        Rule(
            "ground-truth",
            "`reward_model` has no `ground_truth`, which the documents require",
            'add {"ground_truth": "72", "style": "rule"}',
            lambda s: rules.is_blank(_of(s, "reward_model", "ground_truth")),
        ),
        Rule(
            "style",
            '`style` of `reward_model` is not "rule", as the documents want it',
            'set `style` to "rule"',
            lambda s: _of(s, "reward_model", "style") != "rule",
            "warning",
        ),
        Rule(
            "extra-answer",
            "`answer` of `extra_info` is not a text: the SDK takes it for the right completion",
            "write it as text, or leave it out",
            lambda s: not isinstance(_of(s, "extra_info", "answer") or "", str),
        ),
    ),
    reads_prompt=True,
)

_NOVA = Profile(
    name="sagemaker-rlvr-nova",
    kind="elsewhere",
    about="SageMaker serverless RLVR, Amazon Nova (as in Bedrock)",
    rules=SHARED,
)

PROFILES = (_VERL, _NOVA)
