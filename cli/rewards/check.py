"""`sluice check`: whether the readers of RFT datasets accept a file."""

from pathlib import Path
from typing import Annotated

import typer

from bedrock_sluice.cli.options import AsJson, epilog

EPILOG = epilog(
    "sluice check train.jsonl",
    "sluice check train.jsonl --profile nova-docs --profile math --fix repaired.jsonl",
    rejected="the file does not pass",
)


def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.jsonl", help="JSON lines, of a release or any other.")
    ],
    profile: Annotated[
        list[str] | None, typer.Option(help="Profile to validate against; repeatable.")
    ] = None,
    fix: Annotated[Path | None, typer.Option(help="Write a repaired copy to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate a file against Bedrock's rules, AWS's validators and graders.

    Named profiles must all pass. Without names, the file passes if one training platform accepts
    it. With --fix, the verdict is on the repaired copy. Exits 1 if the file does not pass.
    """
    from bedrock_sluice.cli.console import print_json
    from bedrock_sluice.cli.rewards.check_view import as_facts, show_check
    from bedrock_sluice.flows.file_check import check_file, fix_file
    from bedrock_sluice.rewards.conformance.check import LAYOUT_FAULTS
    from bedrock_sluice.transforms.errors import ExitCode

    names = profile or ()
    result, summary, layout = check_file(file, names), None, list[str]()
    if fix is not None:
        # A copy is written anew, and so free of what is wrong with the layout of the file.
        rules = {f"file/{fault.name}" for fault in LAYOUT_FAULTS}
        layout = [each.rule for each in result.report.findings if each.rule in rules]
        summary = fix_file(file, fix, names)
        result = check_file(fix, names)
    if as_json:
        print_json(as_facts(fix or file, result, layout, summary))
    else:
        show_check(result, set(names), layout, summary)
    if not result.is_passed:
        raise SystemExit(ExitCode.CHECK_FAILED)
