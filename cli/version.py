"""`sluice --version`: the versions of Sluice and of the libraries that decide what it does."""

import typer

LIBRARIES = ("polars", "duckdb", "prefect")


def show_version(is_requested: bool) -> None:
    """Print the versions on stdout and exit, if the option was given."""
    if not is_requested:
        return
    import platform
    from importlib.metadata import PackageNotFoundError, version

    typer.echo(f"sluice {version('bedrock-sluice')}")
    typer.echo(f"python {platform.python_version()}")
    for name in LIBRARIES:
        try:
            typer.echo(f"{name} {version(name)}")
        except PackageNotFoundError:  # an extra
            typer.echo(f"{name} not installed")
    raise typer.Exit
