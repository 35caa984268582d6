"""Decisions of people about releases, and what a recipe asks of them."""
