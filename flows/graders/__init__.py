"""Graders outside this process: the deployed Lambda, and the package to deploy."""
