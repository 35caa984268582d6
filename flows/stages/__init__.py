"""The stages of a build, one per module."""
