"""Releases and what is recorded about them: training jobs and the sides of the split."""
