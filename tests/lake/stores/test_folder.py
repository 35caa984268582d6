"""The store in a folder: whole files or none, private ones, and refusals in plain words."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from stat import S_ISDIR
from typing import NoReturn

import pytest

from bedrock_sluice.lake.files import STALE_SECONDS, TEMPORARY_PREFIX
from bedrock_sluice.lake.stores.folder import FolderStore
from bedrock_sluice.lake.stores.opening import open_store
from bedrock_sluice.transforms.errors import ConfigError, OutsideError


def files(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_folder_that_is_not_there_holds_nothing_until_something_is_put(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "new" / "lake")
    assert (list(store.entries()), store.folders()) == ([], [])
    assert not (tmp_path / "new").exists()
    assert store.put_new("a/b", b"content")
    assert files(tmp_path) == ["new/lake/a/b"]


def test_a_relative_folder_is_meant_from_its_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert open_store("lake", Path("recipes")).uri == str(tmp_path / "recipes" / "lake")
    assert open_store("lake").uri == str(tmp_path / "lake")
    assert open_store("/lake", Path("recipes")).uri == "/lake"
    assert open_store("~/lake", Path("recipes")).uri == str(tmp_path / "home" / "lake")


def test_more_than_a_thousand_keys_are_listed(tmp_path: Path) -> None:
    names = [f"{n:04}" for n in range(2_001)]
    for name in names:
        (tmp_path / name).touch()
    assert [entry.key for entry in FolderStore(tmp_path).entries()] == names


def test_files_that_are_being_written_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / f"{TEMPORARY_PREFIX}half").write_bytes(b"half of it")
    assert list(FolderStore(tmp_path).entries()) == []


@pytest.mark.parametrize(
    ("umask", "folder_mode", "file_mode"), [(0o027, 0o750, 0o640), (0o077, 0o700, 0o600)]
)
def test_what_is_written_has_the_modes_that_the_umask_leaves(
    tmp_path: Path, umask: int, folder_mode: int, file_mode: int
) -> None:
    previous = os.umask(umask)
    try:
        FolderStore(tmp_path / "shared/lake").put_new("a/b/c", b"content")
    finally:
        os.umask(previous)
    paths = [path for path in (tmp_path / "shared").rglob("*") if path.is_dir()]
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "shared", *paths)]
    assert modes == [folder_mode] * 4
    assert (tmp_path / "shared/lake/a/b/c").stat().st_mode & 0o777 == file_mode


def test_a_file_and_every_folder_of_its_path_are_on_disk_when_it_is_put(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must not take back a name whose put was reported."""
    inodes = list[tuple[bool, int]]()
    real = os.fsync

    def remember(descriptor: int) -> None:
        status = os.fstat(descriptor)
        inodes.append((S_ISDIR(status.st_mode), status.st_ino))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    store = FolderStore(tmp_path / "lake")
    store.put_new("a/b/c", b"content")
    lake = tmp_path / "lake"
    folders = [lake / "a/b", lake / "a", lake, tmp_path]
    assert inodes[0] == (False, (lake / "a/b/c").stat().st_ino)
    assert set(inodes[1:]) == {(True, folder.stat().st_ino) for folder in folders}
    inodes.clear()
    store.put_new("a/b/d", b"content")
    assert inodes[1:] == [(True, (lake / "a/b").stat().st_ino)]


def test_only_temporary_files_of_days_ago_are_removed(tmp_path: Path) -> None:
    old, new = (tmp_path / f"{TEMPORARY_PREFIX}{name}" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half of it")
    long_ago = time.time() - STALE_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    FolderStore(tmp_path).put_new("a", b"content")
    assert files(tmp_path) == [new.name, "a"]


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OutsideError, match=r"lake/a: .*; nothing was lost") as refusal:
        FolderStore(tmp_path / "lake").put_new("a", b"content")
    assert "content" not in str(refusal.value)
    assert files(tmp_path) == []


def test_half_a_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system may take fewer bytes than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    store = FolderStore(tmp_path)
    assert store.put_new("a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: list(store.entries("below/")),
        lambda store: store.put_new("below/x", b""),
    ],
    ids=["entries", "put"],
)
def test_a_file_in_the_place_of_a_folder_is_told(
    tmp_path: Path, ask: Callable[[FolderStore], object]
) -> None:
    (tmp_path / "below").write_bytes(b"")
    with pytest.raises((ConfigError, OutsideError), match="below"):
        ask(FolderStore(tmp_path))


def test_links_are_followed_from_any_prefix_and_never_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/log").touch()
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/up").symlink_to(root / "a")
    (root / "a/b/self").symlink_to(".")
    (root / "a/linked").symlink_to(tmp_path / "elsewhere")
    (root / "file").symlink_to(tmp_path / "elsewhere/log")
    (root / "broken").symlink_to("nowhere")
    store = FolderStore(root)
    assert [entry.key for entry in store.entries()] == ["a/linked/log", "file"]
    assert [entry.key for entry in store.entries("a/linked/")] == ["a/linked/log"]
    assert [entry.key for entry in store.entries("a/b/up/")] == []
    assert (store.folders("a/"), store.folders("a/b/")) == (["b", "linked"], [])


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="file does not exist, or is not a folder"):
        list(FolderStore(tmp_path / "file").entries())
