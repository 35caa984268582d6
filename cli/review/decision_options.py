"""Options that `approve` and `decline` share, and the decisions as people read them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bedrock_sluice.lake.releases.decisions import Decision
    from bedrock_sluice.lake.releases.release import Release

By = Annotated[str, typer.Option(help="Your name, as it is recorded.")]
Role = Annotated[
    str | None, typer.Option(help="The role in which you decide, such as legal or domain.")
]
Note = Annotated[str | None, typer.Option(help="A remark of one line, which is recorded.")]


def show_decision(release: "Release", decision: "Decision", as_json: bool) -> None:
    """Print all decisions about a release and what is still needed; as JSON, only this one."""
    from msgspec import to_builtins

    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.decisions.decisions import find_decisions, has_passed_gate
    from bedrock_sluice.flows.decisions.requirements import unmet_requirements
    from bedrock_sluice.flows.recipe.build_recipe import recipe_of
    from bedrock_sluice.flows.review.history import write_index

    write_index(release.lake, release.name)
    section = recipe_of(release).approval
    needs = unmet_requirements(release, section)
    if as_json:
        print_json(to_builtins(decision) | {"still_needed": needs})
        return
    people.print(release.uri, markup=False)
    for each in find_decisions(release):
        people.print(decision_in_words(each), markup=False)
    if not has_passed_gate(release) and not section.allow_override:
        needs = [*needs, "the gate rejected it, and [approval] has no allow_override = true"]
    for need in needs:
        people.print(f"still needed before training: {need}", markup=False)
    if section.roles and decision.role not in section.roles:
        roles = ", ".join(section.roles)
        people.print(f"the recipe asks for approvals in the role {roles}", markup=False)


def decision_in_words(decision: "Decision") -> str:
    """Return one line about a decision, safe to print."""
    from bedrock_sluice.flows.decisions.requirements import signature
    from bedrock_sluice.transforms.printable import printable

    text = f"{decision.verdict} by {signature(decision)}, {decision.at:%Y-%m-%d %H:%M} UTC"
    if decision.override:
        text += f"; overrides the gate: {decision.override}"
    return printable(f"{text}; {decision.note}" if decision.note else text)
