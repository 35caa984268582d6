"""The store in a folder: whole files or none, private ones, and refusals in plain words."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from bedrock_sluice.lake.folder import TEMPORARY_PREFIX, FolderStore
from bedrock_sluice.lake.store import open_store
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


def test_what_is_written_is_for_its_owner_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        FolderStore(tmp_path / "lake").put_new("a/b", b"content")
    finally:
        os.umask(previous)
    assert (tmp_path / "lake/a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "lake/a/b").stat().st_mode & 0o777 == 0o600


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
    with pytest.raises(ConfigError, match="file is not there, or is no folder"):
        list(FolderStore(tmp_path / "file").entries())
