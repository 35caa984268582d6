"""Releases by name: `tutor@latest`, `tutor@approved`, `tutor@2026-11-01-527776e00615`.

A name needs its lake. A recipe in its place, `tutor.toml@latest`, says both.
"""

import re
from pathlib import Path

from bedrock_sluice.flows.recipe.places import RECIPE_SUFFIX, open_target
from bedrock_sluice.flows.review.baseline import find_release, newest_approved
from bedrock_sluice.lake.releases.release import (
    Release,
    list_manifests,
    newest_release,
    open_release,
)
from bedrock_sluice.lake.stores.store import Store
from bedrock_sluice.transforms.errors import ConfigError

LATEST, APPROVED = "latest", "approved"
MAX_EXAMPLES = 10  # of what there is instead, in a message

_NAME = re.compile(r"(?P<name>[^/@]+|.*\.toml)@(?P<selector>[^/@]+)")


def resolve_release(text: str, *lakes: str | Path | None) -> Release:
    """Open a release by its path or `s3://` URI, or by its name.

    `latest` is the release that was published last, whatever its verdict, and `approved` the one
    that was approved last. A name without a recipe is looked up in the first of `lakes`
    (`LAKE|RECIPE`) that is not None.

    Raises:
        ConfigError: there is no such release, or nothing says in which lake it is.
        IntegrityError: it, or a decision about it, is not what was written.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        return open_release(text)
    name, selector = match["name"], match["selector"]
    if name.endswith(RECIPE_SUFFIX):
        target = open_target(name)
        assert target.recipe is not None
        return _find(target.lake, target.recipe.name, selector)
    lake = next(filter(None, lakes), None)
    if lake is None:
        raise ConfigError(
            f"{text} does not say in which lake; add --lake LAKE, or name a recipe: "
            f"{name}{RECIPE_SUFFIX}@{selector}"
        )
    return _find(open_target(str(lake)).lake, name, selector)


def _find(lake: Store, name: str, selector: str) -> Release:
    match selector:
        case "latest":
            release = newest_release(lake, name)
        case "approved":
            release = newest_approved(lake, name)
        case _:
            release = find_release(lake, name, selector)
    if release is None:
        raise _missing_error(lake, name, selector)
    return release


def _missing_error(lake: Store, name: str, selector: str) -> ConfigError:
    """Return an error that lists what there is instead."""
    manifests = list_manifests(lake, name)
    if not manifests:
        names = ", ".join(lake.folders("releases/")[:MAX_EXAMPLES])
        hint = f"it has releases of {names}" if names else "build one with `sluice build RECIPE`"
        return ConfigError(f"{lake.uri} has no release of {name}; {hint}")
    newest_first = sorted(manifests, key=lambda each: (each.modified, each.key), reverse=True)
    ids = [each.key.split("/")[2] for each in newest_first[:MAX_EXAMPLES]]
    more = f" and {len(manifests) - len(ids):,} more" if len(manifests) > len(ids) else ""
    hint = f"it has {', '.join(ids)}{more}"
    if selector == APPROVED:
        return ConfigError(
            f"no release of {name} in {lake.uri} is approved; {hint}. Approve one with "
            "`sluice approve`"
        )
    return ConfigError(
        f"{lake.uri} has no release {selector} of {name}; {hint}, and knows {LATEST} and {APPROVED}"
    )
