"""`sluice iam`: the IAM policies that a recipe needs."""

from typing import Annotated, Literal

import typer

from bedrock_sluice.cli.options import Account, KmsKeys, RecipePath, epilog

EPILOG = epilog("sluice iam tutor.toml", "sluice iam tutor.toml --for logs --kms-key KEY_ARN")

Purpose = Literal["logs", "lake", "train", "deploy", "nightly", "all"]


def iam(
    recipe: RecipePath,
    purpose: Annotated[
        Purpose, typer.Option("--for", help="Print only the policies for this purpose.")
    ] = "all",
    account: Account = None,
    kms_key: KmsKeys = None,
    bucket_owner: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="Allow buckets of this AWS account alone."),
    ] = None,
) -> None:
    """Print the exact IAM policies that the recipe needs, as JSON. Calls nothing on AWS."""
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.access.policies import documents, make_grant
    from bedrock_sluice.flows.recipe import load_recipe

    grant = make_grant(load_recipe(recipe), account, kms_key or (), bucket_owner)
    policies = [each for each in documents(grant) if purpose in ("all", each.purpose)]
    for each in policies:
        people.print(f"{each.name}: attach to {each.attach_to}", markup=False)
    if not policies:
        people.print("nothing of the recipe is on AWS; no policy is needed")
    print_json({each.name: each.content for each in policies})
