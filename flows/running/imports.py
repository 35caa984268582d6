"""What libraries import of other libraries, and a program does not use, or not yet.

Only for programs of our own: the process of someone who calls our functions is theirs.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


@contextmanager
def without(*packages: str) -> Iterator[None]:
    """Import as if these packages were not installed, within the block."""
    with _first_finder(_Absent(packages)):
        yield


@contextmanager
def postponing(*modules: str) -> Iterator[None]:
    """Load these modules when something of them is first used, if imported within the block."""
    with _first_finder(_Lazy(modules)):
        yield


def spare_pandas() -> None:
    """Keep pyarrow from importing pandas, which it does to make its first array of anything.

    It looks for pandas only once. Whoever imports it afterwards, such as a template of a user, gets
    it as ever, and pyarrow converts from and to it.
    """
    with without("pandas"):
        import pyarrow as pa  # noqa: PLC0415 - it takes long, and most commands do without

        pa.array([0])


class _Absent(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"no module named {name!r} for this program", name=name)


class _Lazy(MetaPathFinder):
    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._modules else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _first_finder(finder: MetaPathFinder) -> Iterator[None]:
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
