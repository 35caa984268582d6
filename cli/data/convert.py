"""`sluice convert`: logs to OpenAI chat JSONL."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedrock_sluice.cli.options import epilog

if TYPE_CHECKING:
    from bedrock_sluice.flows.conversion import ConversionSummary

EPILOG = epilog(
    "sluice convert s3://acme-logs/bedrock --out chat.jsonl --rejects rejects.jsonl",
    "sluice convert logs/ | jq .messages",
)


def convert(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="The logs: a file, a folder, or s3://…")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write to this file instead of stdout, when all is read.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Write rejected records to this file, with the reason.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON on stdout; needs --out.")
    ] = False,
) -> None:
    """Convert logs to OpenAI chat JSONL: no recipe, no lake, no curation."""
    import sys

    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.flows.conversion import convert_logs
    from bedrock_sluice.transforms.errors import ConfigError, OutsideError

    if as_json and out is None:
        raise ConfigError("--json needs --out FILE: both would be written to stdout")
    if out is None and sys.stdout is None:
        raise OutsideError("stdout is closed; name a file with --out")
    summary = convert_logs(uri, out or sys.stdout.buffer, rejects)
    if as_json:
        print_json(summary._asdict() | {"out": str(out), "rejects": rejects and str(rejects)})
    else:
        _show(summary)


def _show(summary: "ConversionSummary") -> None:
    from bedrock_sluice.cli.console import people
    from bedrock_sluice.transforms.reasons import Reason

    people.print(f"{summary.exchanges:,} records converted")
    for reason, number in summary.rejected.items():
        people.print(f"{number:,} rejected: {reason} ({Reason[reason.upper()].message})")
    if summary.skipped_files:
        people.print(f"{summary.skipped_files:,} files skipped: their names are not those of logs")
