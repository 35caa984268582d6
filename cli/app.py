"""The command line. Each command imports what it needs when it runs, so that starting is quick.

What people read goes to stderr; stdout carries results alone: a path, or JSON with `--json`.
"""

import errno
import json
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir
from types import FrameType
from typing import Annotated

import typer

PACKAGE = "bedrock_sluice."
EXIT_NO = 1  # the gate or a check said no
EXIT_INTERNAL = 70  # a bug of ours; the other codes are those of transforms/errors.py
EXTRAS = {"prefect": "flows", "httpx": "flows"}
"""The extra of the distribution that installs a module."""
SIGNAL_EXIT = 128  # plus the number of the signal that ended the run

app = typer.Typer(
    help="Turn Amazon Bedrock invocation logs into datasets for Reinforcement Fine-Tuning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]
ReleaseUri = Annotated[
    str, typer.Argument(metavar="RELEASE", help="<lake>/releases/<name>/<id>: a path or s3:// URI.")
]
JobRecipe = Annotated[
    Path | None,
    typer.Option(help="Read the job settings from this recipe instead of that of the build."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Since = Annotated[
    datetime | None, typer.Option(help="Start of the window instead of the recipe's (UTC).")
]
Until = Annotated[
    datetime | None, typer.Option(help="End of the window instead of the recipe's (UTC).")
]


@app.command()
def demo(
    records: Annotated[int, typer.Option(min=1, help="How many log records to make up.")] = 2_000,
    out: Annotated[Path, typer.Option(help="Where to put them.")] = Path("sluice-demo"),
    as_json: AsJson = False,
) -> None:
    """Make logs up, and build a release from them."""
    from bedrock_sluice.cli.commands import run_demo

    run_demo(records, out, as_json)


@app.command()
def build(
    recipe: RecipePath, since: Since = None, until: Until = None, as_json: AsJson = False
) -> None:
    """Fetch new logs, and build a release. Exits 1 if the gate rejects it."""
    from bedrock_sluice.cli.commands import run_build

    run_build(recipe, since, until, as_json)


@app.command()
def pull(
    recipe: RecipePath, since: Since = None, until: Until = None, as_json: AsJson = False
) -> None:
    """Fetch new log objects into the lake without building."""
    from bedrock_sluice.cli.commands import run_pull

    run_pull(recipe, since, until, as_json)


@app.command()
def convert(
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", help="Logs: a file, a folder, or s3://…"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write here instead of to stdout, once all is read.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Write rejected records to this file, with the reason.")
    ] = None,
) -> None:
    """Convert logs to OpenAI chat JSONL: no recipe, no lake, no curation."""
    from bedrock_sluice.cli.convert import convert as run_convert

    run_convert(uri, out, rejects)


@app.command()
def explain(  # noqa: PLR0913, PLR0917 - options of the command line
    recipe: RecipePath,
    request_id: Annotated[
        str | None, typer.Argument(metavar="REQUEST_ID", help="The record to explain.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="Show the first records with this reason.")
    ] = None,
    number: Annotated[
        int, typer.Option("-n", min=1, help="How many records with --reason to show.")
    ] = 5,
    release: Annotated[
        str | None,
        typer.Option(help="Id or URI of a release; default: the newest that this recipe built."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened to a record, or to those with a reason. Exits 1 if there are none."""
    from bedrock_sluice.cli.explain import explain as run_explain
    from bedrock_sluice.cli.explain import explain_reason

    if (request_id is None) == (reason is None):
        raise typer.BadParameter("give either REQUEST_ID or --reason")
    if reason is not None:
        explain_reason(recipe, reason, number, release, as_json)
    elif request_id is not None:
        run_explain(recipe, request_id, release, as_json)


@app.command()
def doctor(recipe: RecipePath, as_json: AsJson = False) -> None:
    """Check that everything the recipe names can be read, written and submitted."""
    from bedrock_sluice.cli.doctor import doctor as run_doctor

    run_doctor(recipe, as_json)


@app.command()
def approve(
    release: ReleaseUri,
    by: Annotated[str, typer.Option(help="Your name, as the approval will record it.")],
    as_json: AsJson = False,
) -> None:
    """Approve every byte of a release for training. Each approver has a record of their own."""
    from bedrock_sluice.cli.commands import run_approve

    run_approve(release, by, as_json)


@app.command()
def train(
    release: ReleaseUri,
    recipe: JobRecipe = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the exact request; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the training job of an approved release. Running it again starts no second job."""
    from bedrock_sluice.cli.commands import run_train

    run_train(release, recipe, dry_run, as_json)


@app.command()
def status(
    recipe: RecipePath,
    never_started: Annotated[
        list[str] | None, typer.Option(help="A release whose job you know never began.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask how the jobs of a recipe's lineage ended, and write down what they were trained on."""
    from bedrock_sluice.cli.commands import run_status

    run_status(recipe, never_started or (), as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="JSON lines, ours or not.")],
    profile: Annotated[
        list[str] | None, typer.Option(help="Profile to validate against; repeatable.")
    ] = None,
    fix: Annotated[Path | None, typer.Option(help="Write a repaired copy to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate a file against Bedrock's rules, AWS validators and graders; exits 1 if it fails."""
    from bedrock_sluice.cli.check import check as run_check

    run_check(file, profile or (), fix, as_json)


@app.command()
def grade(recipe: RecipePath, as_json: AsJson = False) -> None:
    """Try the grader on logged responses: is there a reward to learn from? Exits 1 if not."""
    from bedrock_sluice.cli.commands import run_grade

    run_grade(recipe, as_json)


@app.command()
def estimate(release: ReleaseUri, recipe: JobRecipe = None, as_json: AsJson = False) -> None:
    """Estimate the training job of a release: rollouts, tokens, grader calls, cost."""
    from bedrock_sluice.cli.commands import run_estimate

    run_estimate(release, recipe, as_json)


grader = typer.Typer(help="Graders that come with Sluice, ready to deploy.", no_args_is_help=True)
app.add_typer(grader, name="grader")


@grader.command()
def export(
    name: Annotated[str, typer.Argument(help="math, qa, text, format, tool or judge.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
    model: Annotated[str | None, typer.Option(help="The model that judges, for judge.")] = None,
) -> None:
    """Write a grader as the zip of a Lambda, and the least policy that its role needs."""
    from bedrock_sluice.cli.commands import run_export

    run_export(name, out, model)


@app.command()
def serve(
    recipes: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of recipes.")],
    cron: Annotated[str, typer.Option(help="When the nightly runs (UTC).")] = "0 3 * * *",
) -> None:
    """Serve the Prefect deployments: the nightly on its schedule, and rebuild on demand."""
    from bedrock_sluice.cli.serve import serve as run_serve

    run_serve(recipes, cron)


def main() -> None:
    """Run the command line, and end with the exit code that the outcome calls for."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` sets it
            signal.signal(number, _stop)
    try:
        app()
    except BaseException as error:
        if _signals and not _is_finished(error):
            sys.exit(_report_stop(_signals[0]))
        if not isinstance(error, Exception):
            raise
        sys.exit(_report(error))


_signals: list[int] = []
"""The signals that came. Libraries that run our code wrap the exception, so it does not tell."""


def _stop(number: int, _frame: FrameType | None) -> None:
    """End at once, by way of `finally`, so that temporary files go; a re-run picks up from here."""
    _signals.append(number)
    raise SystemExit(SIGNAL_EXIT + number)


def _is_finished(error: BaseException) -> bool:
    """Whether the command came to its own end although a signal came."""
    return isinstance(error, SystemExit) and error.code in (None, 0, EXIT_NO)


def _report_stop(number: int) -> int:
    name = signal.Signals(number).name
    message = f"stopped by {name}; nothing is half written, run the command again to continue"
    _print_error("stopped", message, None)
    return SIGNAL_EXIT + number


def _report(error: Exception) -> int:
    """Say what went wrong in one line, and give the exit code.

    A bug of ours is told by its place alone: the text of a foreign exception may hold content.
    """
    from bedrock_sluice.transforms.errors import ConfigError, OutsideError, SluiceError

    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        error = ConfigError(
            f"{error.name} is not installed; this command needs an extra: "
            f"pip install 'bedrock-sluice[{EXTRAS[error.name]}]'"
        )
    if isinstance(error, BrokenPipeError):  # the reader of stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_EXIT + signal.SIGPIPE
    if isinstance(error, SluiceError):
        kind = type(error).__name__.removesuffix("Error").lower()
        _print_error(kind, str(error), error.place)
        return error.exit_code
    if isinstance(error, OSError):
        where = error.filename and str(error.filename)
        _print_error("outside", _fault_of_disk(error, where), where)
        return OutsideError.exit_code
    from bedrock_sluice.flows.faults import place

    where = place(error)
    _print_error("bug", f"a bug in Sluice: {where}; please report it", where)
    return EXIT_INTERNAL


def _fault_of_disk(error: OSError, where: str | None) -> str:
    """What the disk refused; where no file is named, it was one of the working folder."""
    if where or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return f"{where or 'disk'}: {error.strerror}"
    return (
        f"no space left in {gettempdir()}, where Sluice keeps its working files; free some, or set "
        "TMPDIR to another folder"
    )


def _print_error(kind: str, message: str, where: str | None) -> None:
    """Write the last word for people, and with `--json` for machines too."""
    with suppress(OSError):  # the terminal may be gone
        print(f"sluice: {message}", file=sys.stderr)  # noqa: T201
        if "--json" in sys.argv:
            error = {"kind": kind, "message": message, "where": where}
            print(json.dumps({"error": error}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
