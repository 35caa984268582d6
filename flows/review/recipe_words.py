"""A recipe in words, for people who did not write it."""

from bedrock_sluice.flows.recipe import Recipe
from bedrock_sluice.transforms.metadata_filter import parse_filter

MINUTE = "%Y-%m-%d %H:%M"
TURNS = {"last": "the last turn", "first": "the first turn", "each": "each turn"}


def window_in_words(recipe: Recipe) -> str:
    """Return which records the window of record time has: `records from … until … (UTC)`."""
    since, until = recipe.window.since, recipe.window.until
    start = f" from {since:{MINUTE}}" if since else ""
    end = f" until {until:{MINUTE}}" if until else ""
    return f"records{start}{end} (UTC)" if start or end else "records of any time"


def recipe_in_words(recipe: Recipe) -> list[str]:
    """Return what the recipe selects, drops, masks and answers, a sentence each."""
    return [
        *_selection(recipe),
        *_curation(recipe),
        *_privacy(recipe),
        *_answers(recipe),
        *_split(recipe),
    ]


def _selection(recipe: Recipe) -> list[str]:
    select = recipe.select
    rules = []
    if select.operations:
        rules.append(f"Select records of the operations {', '.join(select.operations)}.")
    if select.models:
        rules.append(f"Select records of the models {', '.join(select.models)}.")
    for clause in parse_filter(select.metadata) if select.metadata else ():
        rules.append(f"Select records with the metadata {' or '.join(map(str, clause))}.")
    return rules or ["Select all records of the window."]


def _curation(recipe: Recipe) -> list[str]:
    curate, quality = recipe.curate, recipe.quality
    rules = [f"Drop prompts of more than {curate.max_prompt_tokens:,} tokens (estimated)."]
    rules.append(f"Keep {TURNS[curate.conversations]} of each conversation.")
    if curate.near_duplicates:
        scope = "the last user message" if curate.near_scope == "last_user" else "all turns"
        rules.append(
            f"Keep one of several prompts that are equal, or similar by {curate.near_duplicates:g} "
            f"or more (Jaccard, of {scope})."
        )
    if curate.against:
        rules.append(f"Drop prompts that overlap {len(curate.against)} evaluation sets.")
    caps = {
        "per caller": curate.max_per_identity,
        "per system prompt": curate.max_per_system,
        "per conversation": curate.max_per_conversation,
    }
    rules += [f"Keep at most {most:,} prompts {what}." for what, most in caps.items() if most]
    if quality.drop_refusals:
        rules.append("Drop prompts whose response is a refusal.")
    if quality.languages:
        rules.append(f"Keep prompts in {', '.join(quality.languages)}.")
    return rules


def _privacy(recipe: Recipe) -> list[str]:
    words = {"mask": "Mask", "drop": "Drop prompts with", "report": "Leave, and count,"}
    privacy = recipe.privacy
    return [f"{words[privacy.secrets]} secrets.", f"{words[privacy.personal_data]} personal data."]


def _answers(recipe: Recipe) -> list[str]:
    sources = ", then ".join(recipe.answer.sources)
    rules = [f"Take the reference answer from {sources}: the first that has one."]
    if recipe.grader and recipe.grader.is_in_gate:
        rules.append("Run the grader on logged responses before the gate decides.")
    return rules


def _split(recipe: Recipe) -> list[str]:
    split = recipe.split
    rules = [f"Set {split.validation:.0%} of the groups aside for validation."]
    strata = f", shared by {', '.join(split.strata)}" if split.strata else ""
    rules.append(f"Keep at most {split.max_lines:,} lines{strata}.")
    if split.group_by:
        keys = ", ".join(split.group_by)
        rules.append(f"Keep lines with the same {keys} on one side of the split.")
    return rules
