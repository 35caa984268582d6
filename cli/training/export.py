"""`sluice export`: the lines of a release for another trainer."""

from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, ReleaseLake, ReleaseUri, epilog

EPILOG = epilog(
    "sluice export lake/releases/tutor/2026-11-01-527776e00615 --to verl --out tutor-verl",
    "sluice export lake/releases/tutor/2026-11-01-527776e00615 --to trl --out s3://acme-data/trl",
    rejected="the gate rejected the release, its files were changed, or other files are in the way",
)


def export(  # noqa: PLR0913, PLR0917 - options of the command line
    release: ReleaseUri,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="verl, trl, openai-rft or bedrock.")],
    out: Annotated[str, typer.Option(metavar="FOLDER", help="A folder, or an s3:// URI.")],
    parquet: Annotated[
        bool, typer.Option("--parquet/--no-parquet", help="For verl and trl: also write Parquet.")
    ] = True,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Write the lines of a release as other trainers read them, with a manifest of their origin."""
    from typing import cast

    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json, print_result
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.export import export_release
    from bedrock_sluice.rewards.exports import ExportFormat

    source = resolve_release(release, lake)
    result = export_release(source, cast(ExportFormat, to), out, parquet=parquet)
    if as_json:
        print_json({"uri": result.uri, **to_builtins(result.manifest)})
        return
    for name, file in result.manifest.files.items():
        people.print(f"{name}: {file.rows:,} rows, {file.bytes:,} bytes", markup=False)
    print_result(result.uri)
