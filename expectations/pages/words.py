"""Words of the pages for what the code counts: reasons, stages, changes, uses of rows."""

from bedrock_sluice.transforms.reasons import Reason
from bedrock_sluice.transforms.sampling import LENGTH_BANDS

DUPLICATES = {
    "curate_exact_duplicate": "exact",
    "curate_near_duplicate": "near",
    "curate_burst": "burst",
    "curate_conversation_turn": "turns",
}

LENGTHS = {band: f"under {limit:,} tokens" if limit else "longer" for band, limit in LENGTH_BANDS}

STAGES = {
    "pull": "could be read from the logs",
    "select": "match the window and the filter of the recipe",
    "normalise": "hold a chat",
    "curate": "pass the rules against duplicates, poor quality and excess",
    "answer": "have a reference answer",
    "split": "fit into the limit of lines, and on one side of the split",
    "render": "fit the template",
    "grade": "differ in the rewards of their responses",
}
"""What records do that a stage keeps."""

REASONS = {reason.value: reason.message for reason in Reason} | {"not_read": "not in its logs"}

LEAKS = {
    "exact": "lines of train that ask what a line of validation asks",
    "prefix": "lines that are the beginning of a line of the other side",
    "near": "lines of train that are near duplicates of a line of validation",
    "group": "groups with lines on both sides",
    "evaluation": "lines that overlap an evaluation set",
}

ROW_USES = {
    "with_effect": "are used",
    "not_selected": "are for requests that were dropped or not selected",
    "unknown": "are for requests that are not in the logs",
    "unreadable": "have no answer that the template reads",
    "late": "were given too late",
    "without_time": "have no time",
    "without_effect": "are overruled by other rows or sources",
}

CHANGES = {
    "added": "new",
    "removed": "no longer there",
    "answer_changed": "with another reference answer",
    "moved": "on the other side of the split",
    "rewritten": "with another text",
}
