"""Readers of chat bodies: one dialect per module."""
