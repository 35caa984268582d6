"""The command line: its commands, global options, and the end of a run.

Text for people goes to stderr; stdout carries results alone: a path, or JSON with `--json`. Each
command imports what it needs when it runs: starting takes a fifth of a second, and some of the
libraries seconds.
"""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from bedrock_sluice.cli.data import build, convert, demo, diff, explain, pull, report, verify
from bedrock_sluice.cli.failures import report_error, report_signal
from bedrock_sluice.cli.log import LogFormat, LogLevel, configure_logging
from bedrock_sluice.cli.operations import (
    deployment,
    doctor,
    forget,
    gc,
    iam,
    native,
    nightly,
    schema,
    serve,
    validate,
)
from bedrock_sluice.cli.review import approve, decline, papers, review, trace
from bedrock_sluice.cli.rewards import check, estimate, grade, grader
from bedrock_sluice.cli.training import compare, deploy, export, jobs, releases, status, train
from bedrock_sluice.cli.version import show_version
from bedrock_sluice.flows.running.memory import collect_rarely
from bedrock_sluice.transforms.errors import ExitCode

app = typer.Typer(
    help="Turn Amazon Bedrock invocation logs into datasets for Reinforcement Fine-Tuning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, and so the content of records
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def configure(
    version: Annotated[  # noqa: ARG001 - its callback ends the run
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=show_version,
            is_eager=True,
            help="Show the versions of Sluice and its main libraries, and exit.",
        ),
    ] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(help="Log messages from this level on; default: info, on a terminal warning."),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="Log as text, or as one JSON object a line for machines.")
    ] = LogFormat.TEXT,
) -> None:
    """Apply the global options."""
    configure_logging(log_level, log_format)


PANELS = {
    "Data": (demo, build, pull, convert, explain, diff, report, verify),
    "Rewards": (check, grade, estimate),
    "Review": (approve, decline, papers, trace),
    "Training": (train, releases, status, export, deploy, compare),
    "Operations": (validate, schema, doctor, iam, native, nightly, serve, deployment, gc, forget),
}
"""The modules of the commands, as `sluice --help` groups them: each has a function of its name."""

for panel, modules in PANELS.items():
    for module in modules:
        name = module.__name__.rpartition(".")[2]
        app.command(name, epilog=module.EPILOG, rich_help_panel=panel)(getattr(module, name))

graders = typer.Typer(help="Export the graders that come with Sluice.", no_args_is_help=True)
graders.command("export", epilog=grader.EPILOG)(grader.export)
app.add_typer(graders, name="grader", rich_help_panel="Rewards")

job_commands = typer.Typer(help="List, watch and stop training jobs.", no_args_is_help=True)
job_commands.command("list", epilog=jobs.LIST_EPILOG)(jobs.list_jobs)
job_commands.command("sync", epilog=jobs.SYNC_EPILOG)(jobs.sync)
job_commands.command("watch", epilog=jobs.WATCH_EPILOG)(jobs.watch)
job_commands.command("metrics", epilog=jobs.METRICS_EPILOG)(jobs.metrics)
job_commands.command("stop", epilog=jobs.STOP_EPILOG)(jobs.stop)
app.add_typer(job_commands, name="jobs", rich_help_panel="Training")

reviews = typer.Typer(help="Judge single lines of a release.", no_args_is_help=True)
reviews.command("sheet", epilog=review.SHEET_EPILOG)(review.sheet)
reviews.command("apply", epilog=review.APPLY_EPILOG)(review.apply)
app.add_typer(reviews, name="review", rich_help_panel="Review")


def main() -> None:
    """Run the command line, and exit with the code that the outcome calls for."""
    collect_rarely()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, _stop)
    try:
        app()
    except BaseException as error:
        if _signals and not _is_outcome(error):
            sys.exit(report_signal(_signals[0]))
        if not isinstance(error, Exception):
            raise
        sys.exit(report_error(error))


_signals: list[int] = []
"""The signals that came: libraries that run our code wrap the exception, which then hides them."""


def _stop(number: int, _frame: FrameType | None) -> None:
    """Exit by way of `finally`, so that temporary files are removed."""
    _signals.append(number)
    raise SystemExit(ExitCode.SIGNAL + number)


def _is_outcome(error: BaseException) -> bool:
    """Return whether the command came to its own end although a signal came."""
    codes = (None, ExitCode.DONE, ExitCode.CHECK_FAILED)
    return isinstance(error, SystemExit) and error.code in codes


if __name__ == "__main__":
    main()
