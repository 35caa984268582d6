"""`sluice doctor`: whether a recipe's places can be reached."""

from bedrock_sluice.cli.options import AsJson, UncheckedRecipePath, epilog

EPILOG = epilog("sluice doctor tutor.toml", rejected="something is wrong")


def doctor(recipe: UncheckedRecipePath, as_json: AsJson = False) -> None:
    """Check that everything the recipe names can be read, written and submitted.

    Goes through the whole list, whatever fails. What your identity is not allowed to check is
    marked `?` with the IAM action that it needs, and is not a failure.
    """
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.doctor import diagnose
    from bedrock_sluice.transforms.errors import ExitCode

    diagnoses = diagnose(recipe)
    if as_json:
        print_json([each._asdict() for each in diagnoses])
    else:
        for each in diagnoses:
            mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: "–"}[each.ok]
            people.print(f"{mark if each.needs is None else '[yellow]?[/]'} {each.check}: ", end="")
            people.print(each.message, markup=False)
            if each.run:
                people.print(f"  run: {each.run}", markup=False)
    if any(each.ok is False for each in diagnoses):
        raise SystemExit(ExitCode.CHECK_FAILED)
