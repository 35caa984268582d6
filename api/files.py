"""Files in Python: datasets and recipes, checked without a lake or a network."""

from collections.abc import Sequence
from pathlib import Path

from bedrock_sluice.flows.file_check import FileCheck, check_file
from bedrock_sluice.flows.recipe.validation import validate_recipes
from bedrock_sluice.transforms.errors import SluiceError

__all__ = ["FileCheck", "check", "validate"]


def check(path: str | Path, profiles: Sequence[str] = ()) -> FileCheck:
    """Validate a file of JSON lines, as `sluice check` does.

    Profiles are named as in `sluice check --profile`; all of them must pass. Without names, the
    file passes if one training platform accepts it.

        >>> from bedrock_sluice import check
        >>> result = check(release.file("train.jsonl"), ["nova-docs", "math"])
        >>> result.is_passed, result.findings
        (True, [])

    Raises:
        SluiceError: there is no such file or profile.
    """
    return check_file(Path(path), profiles)


def validate(*recipes: str | Path) -> list[SluiceError]:
    """Check recipes, or folders of recipes, as `sluice validate` does; return what is wrong.

    An error has a `place` (file and line), and its text has a line for each fault.

        >>> from bedrock_sluice import validate
        >>> validate("sluice-demo/recipe.toml")
        []
        >>> [error.place for error in validate("sluice-demo/missing.toml")]
        ['sluice-demo/missing.toml']

    Raises:
        SluiceError: a folder has no recipe.
    """
    results = validate_recipes([Path(each) for each in recipes])
    return [error for error in results.values() if error is not None]
