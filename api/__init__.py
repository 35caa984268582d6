"""Turn Amazon Bedrock model invocation logs into datasets for Reinforcement Fine-Tuning.

    >>> import bedrock_sluice
    >>> release = bedrock_sluice.build("sluice-demo/recipe.toml")
    >>> release.is_passed
    True

The names in `__all__` are public; everything else may change without notice. docs/python.md has
examples by task.
"""

# Names are loaded when they are used: some of the libraries behind them take seconds. That is also
# why `typing` is not imported; type checkers take any name TYPE_CHECKING for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from bedrock_sluice.conversion import Conversion, convert
    from bedrock_sluice.files import FileCheck, check, validate
    from bedrock_sluice.release import Explanation, Release, build, explain, open_release, trace
    from bedrock_sluice.transforms.errors import ExitCode, SluiceError

    __version__: str

__all__ = [  # noqa: RUF022 - in the order of a reader's questions
    "build",
    "open_release",
    "Release",
    "explain",
    "Explanation",
    "trace",
    "convert",
    "Conversion",
    "check",
    "FileCheck",
    "validate",
    "SluiceError",
    "ExitCode",
    "__version__",
]

_HOMES = {
    "bedrock_sluice.conversion": ("Conversion", "convert"),
    "bedrock_sluice.files": ("FileCheck", "check", "validate"),
    "bedrock_sluice.release": (
        "Explanation",
        "Release",
        "build",
        "explain",
        "open_release",
        "trace",
    ),
    "bedrock_sluice.transforms.errors": ("ExitCode", "SluiceError"),
}

if not TYPE_CHECKING:  # else type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Load a public name."""
        from importlib import import_module

        if name == "__version__":
            return import_module("importlib.metadata").version("bedrock-sluice")
        home = next((module for module, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not, for completion."""
    return sorted({*globals(), *__all__})
