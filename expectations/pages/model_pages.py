"""The page that compares tuned models with their base."""

from collections.abc import Mapping
from typing import Any

from bedrock_sluice.expectations.pages.page import render_page

BANDS = {"promote": "passed", "keep": "warned", "roll back": "failed"}
SENTENCES = {
    "promote": "Promote {}",
    "keep": "Keep the base instead of {}",
    "roll back": "Roll back {}",
}


def render_models(report: Mapping[str, Any]) -> str:
    """Return the page of a `ComparisonReport`, as builtins; its pairs side by side."""
    return render_page(
        "models.html.j2",
        title=f"Models trained on {report['release']}",
        bands=BANDS,
        sentences=SENTENCES,
        **report,
    )
