"""A folder of generated files: completed when a run broke off, never overwritten."""

from collections.abc import Callable, Iterable
from pathlib import Path

from bedrock_sluice.lake.files import TEMPORARY_PREFIX
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.transforms.errors import ConfigError

GenerateFiles = Callable[[], Iterable[tuple[str, bytes]]]


def write_new_files(folder: Path, generate: GenerateFiles, marker: str) -> None:
    """Write generated files into a folder, each whole or not at all.

    `generate` returns names and contents, the same on each call. The first file is `marker`, by
    which a folder of an earlier run is recognised: that run is completed.

    Raises:
        ConfigError: the folder holds other files, or a file with other content.
    """
    _check_folder(folder, generate, marker)
    store = FolderStore(folder)
    for name, content in generate():
        store.put_new(name, content)


def _check_folder(folder: Path, generate: GenerateFiles, marker: str) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a new folder with --out")
    names = {path.name for path in folder.iterdir()}
    if all(name.startswith(TEMPORARY_PREFIX) for name in names):  # left by a run that was killed
        return
    if marker not in names:
        raise ConfigError(
            f"{folder} is not empty and has no {marker}; name a new folder with --out"
        )
    # All are compared before any is written, so that a refused folder stays as it was.
    for name, content in generate():
        path = folder / name
        if path.exists() and path.read_bytes() != content:
            raise ConfigError(f"{path} exists with different content; name a new folder with --out")
