"""What good data is: suites for Great Expectations, the gate that runs them, and the report."""

from importlib.resources import files


def resource(name: str) -> str:
    """The text of a file beside this one; `name` comes from code, never from data."""
    return (files(__name__) / name).read_text(encoding="utf-8")
