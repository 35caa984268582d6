"""`sluice estimate`: what a training job would take."""

from bedrock_sluice.cli.options import AsJson, JobRecipe, ReleaseLake, ReleaseUri, epilog

EPILOG = epilog(
    "sluice estimate tutor.toml@latest",
    "sluice estimate lake/releases/tutor/2026-11-01-527776e00615 --recipe tutor.toml --json",
)


def estimate(
    release: ReleaseUri,
    recipe: JobRecipe = None,
    lake: ReleaseLake = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the training job of a release: rollouts, tokens, grader calls, cost, payback."""
    from bedrock_sluice.cli.console import people, print_json
    from bedrock_sluice.flows.recipe import load_recipe
    from bedrock_sluice.flows.recipe.build_recipe import job_recipe
    from bedrock_sluice.flows.review.release_names import resolve_release
    from bedrock_sluice.flows.training.spending import compare_serving, estimate_release
    from bedrock_sluice.rewards.estimate import facts, summary_lines
    from bedrock_sluice.rewards.serving import serving_facts, serving_lines

    source = resolve_release(release, lake, recipe)
    current = load_recipe(recipe) if recipe else None
    settings = job_recipe(source, current)
    result = estimate_release(source, settings)
    serving = compare_serving(source, settings, result)
    lines, output = summary_lines(result), facts(result) | {"serving": None}
    if isinstance(serving, str):
        lines.append(f"serving: not told; {serving}")
    elif serving:
        lines += serving_lines(serving)
        output["serving"] = serving_facts(serving)
    if as_json:
        print_json(output)
        return
    for line in lines:
        people.print(line, markup=False)
