"""The kinds of papers, by the names that the command line gives them."""

from enum import StrEnum


class Paper(StrEnum):
    """One kind of paper."""

    CARD = "card"
    CROISSANT = "croissant"
    SUMMARY = "summary"
    STATEMENT = "statement"
