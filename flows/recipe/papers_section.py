"""The section `[papers]` of a recipe: what only its owner can say about the dataset."""

from datetime import date
from typing import Annotated

from pydantic import Field

from bedrock_sluice.flows.recipe.sections import Section
from bedrock_sluice.flows.recipe.values import Text


class PapersSection(Section):
    """What papers state besides the facts of the release. It decides nothing about the data."""

    title: Text | None = None
    description: Text | None = None
    license: Text | None = None  # an SPDX id as Hugging Face writes it, or a text of your own
    provider: Text | None = None  # who answers for the dataset: a company, a team
    contact: Text | None = None
    url: Text | None = None  # where the dataset is published
    publication_date: date | None = None
    languages: tuple[Annotated[str, Field(pattern="^[a-z]{2,3}$")], ...] = ()  # ISO 639
