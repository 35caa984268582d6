"""`sluice verify`: whether a release and the decisions about it are as they were written."""

from bedrock_sluice.cli.options import AsJson, ReleaseLake, ReleaseUri, epilog

EPILOG = epilog(
    "sluice verify lake/releases/tutor/2026-11-01-527776e00615",
    rejected="something was changed or is missing",
)


def verify(release: ReleaseUri, lake: ReleaseLake = None, as_json: AsJson = False) -> None:
    """Compare the files of a release with its manifest, and verify the decisions about it."""
    from dataclasses import asdict

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.review.verification import verify_release
    from bedrock_sluice.transforms.errors import ExitCode
    from bedrock_sluice.transforms.printable import printable

    source = resolve_release(release, lake)
    results = verify_release(source)
    if as_json:
        print_json([asdict(each) for each in results])
    else:
        people.print(source.uri, markup=False)
        for each in results:
            people.print("[green]ok[/]      " if each.ok else "[red]changed[/] ", end="")
            people.print(printable(f"{each.subject}: {each.message}"), markup=False)
    if not all(each.ok for each in results):
        raise SystemExit(ExitCode.CHECK_FAILED)
