"""The DuckDB statements, one a file. Values are bound; structure never comes from data."""

from importlib.resources import files


def statement(name: str) -> str:
    """The text of `<name>.sql`; `name` comes from code, never from data."""
    return (files(__name__) / f"{name}.sql").read_text(encoding="utf-8")
