"""Readers of text-completion bodies: one dialect per module."""
