"""`sluice deployment`: files that run a folder of recipes every night, and grant what it needs."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import Account, AsJson, KmsKeys, epilog
from bedrock_sluice.flows.deployment.kinds import Kind

EPILOG = epilog(
    "sluice deployment systemd recipes/ --out units",
    "sluice deployment terraform recipes/ --account 111122223333 --out infrastructure/sluice",
)


def deployment(  # noqa: PLR0913, PLR0917 - options of the command line
    kind: Annotated[
        Kind, typer.Argument(help="Units for systemd, a Dockerfile, or roles and policies.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of recipes (*.toml).")],
    out: Annotated[
        Path | None, typer.Option(help="A new folder for the files; default: deployment-KIND.")
    ] = None,
    account: Account = None,
    kms_key: KmsKeys = None,
    as_json: AsJson = False,
) -> None:
    """Write files that deploy the nightly run, with your paths, buckets and roles.

    Existing files with other content are not replaced. Nothing is installed or called.
    """
    from bedrock_sluice.cli.console import print_json, print_result
    from bedrock_sluice.flows.deployment.files import Settings, make_files
    from bedrock_sluice.lake.new_files import write_new_files

    target = out or Path(f"deployment-{kind}")
    files = make_files(kind, folder, Settings(account, tuple(kms_key or ())))
    write_new_files(target, files.items, next(iter(files)))
    paths = [str(target / name) for name in files]
    if as_json:
        print_json({"folder": str(target), "files": [*files]})
        return
    for path in paths:
        print_result(path)
