"""`sluice serve`: the Prefect flows in one process."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import Executor, epilog

EPILOG = epilog("sluice serve recipes/", 'sluice serve recipes/ --cron "30 1 * * *"')


def serve(
    recipes: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of recipes.")],
    cron: Annotated[str, typer.Option(help="When the nightly runs (UTC).")] = "0 3 * * *",
    executor: Executor = "processes",
) -> None:
    """Serve the Prefect deployments: the nightly on its schedule, and rebuild on demand."""
    from bedrock_sluice.flows.serve import serve as serve_flows

    serve_flows(recipes, cron, executor)
