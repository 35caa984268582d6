"""The versions of what decides the results of tasks: all machines of a build must have the same.

Landed and derived parts are named after what they are made of, not after who made them. So a worker
with other code would put its results where those of this code belong.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from platform import python_version

from bedrock_sluice import flows, lake, sql, transforms
from bedrock_sluice.lake.derived import code_digest, library_versions

CODE_DIGITS = 12
PACKAGES = (flows, lake, sql, transforms)
"""The code that tasks run."""

Versions = Mapping[str, str | None]


@cache
def read_versions() -> Versions:
    """Return the versions of Sluice, Python and the libraries on this machine, by name."""
    code = sha256()
    for package in PACKAGES:
        code.update(code_digest(Path(str(package.__file__)).parent).encode())
    own = f"{version('bedrock-sluice')} (code {code.hexdigest()[:CODE_DIGITS]})"
    return {"bedrock-sluice": own, "Python": python_version(), **library_versions()}


def describe_differences(theirs: Versions, ours: Versions) -> str:
    """Return what they have instead of what we have; empty if there is no difference."""
    return ", ".join(
        f"{name} {theirs.get(name)} instead of {ours.get(name)}"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    )
