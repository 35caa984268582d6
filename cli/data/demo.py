"""`sluice demo`: synthetic logs, and a release built from them."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.log import announce
from bedrock_sluice.cli.options import AsJson, epilog

EPILOG = epilog(
    "sluice demo",
    "sluice demo --records 400 --out /tmp/demo",
    rejected="the gate rejected the release",
)


def demo(
    records: Annotated[int, typer.Option(min=1, help="Number of log records to generate.")] = 2_000,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("sluice-demo"),
    as_json: AsJson = False,
) -> None:
    """Generate sample logs and build a release from them."""
    announce("demo", out)
    from bedrock_sluice.flows.running.imports import spare_pandas
    from bedrock_sluice.flows.running.suite_process import start_suites

    start_suites()  # before all that is imported here: it takes longest
    spare_pandas()
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.cli.progress import ProgressRunner
    from bedrock_sluice.cli.release_summary import show_outcome
    from bedrock_sluice.demo.logs import RECIPE_FILE, demo_files
    from bedrock_sluice.flows.context import open_context
    from bedrock_sluice.flows.pipeline import build
    from bedrock_sluice.lake.new_files import write_new_files

    people.print(f"writing {records:,} synthetic records to {out.absolute()}", markup=False)
    write_new_files(out, lambda: demo_files(records), marker=RECIPE_FILE)
    with open_context(out / RECIPE_FILE) as context, ProgressRunner() as run_stage:
        release = build(context, run_stage)
    show_outcome(release, as_json, open_next=("report.html", "train.jsonl", "fates.parquet"))
