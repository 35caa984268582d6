"""Measurements of a text: its language, its quality, the characters it holds."""
