"""Which folders are ours: that `save_folder` wrote, or may write into."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from codebooks.storage.manifest import MANIFEST, OURS, START

__all__ = ["check_place", "is_saved_folder"]


def is_saved_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is one that `save_folder` wrote, of whatever kind, format or state.

    The beginning of its `index.json` tells; if that is damaged, the names of the files beside it do. Nothing else is
    read, so a folder that is ours may still fail to load.

    Parameters
    ----------
    path : str or Path
        Anything: what is missing, a file, or cannot be looked into is no such folder.

    Returns
    -------
    bool

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from codebooks.storage import save_folder
    >>> with TemporaryDirectory() as folder:
    ...     before = is_saved_folder(folder)
    ...     save_folder(folder, {}, {}, kind="Example")
    ...     before, is_saved_folder(folder)
    (False, True)
    """
    folder = Path(path)
    try:
        return _was_saved(folder, os.listdir(folder))
    except OSError:
        return False


def check_place(path: str | os.PathLike[str]) -> None:
    """Refuse a place that holds something which is not ours, as `save_folder` does, before long work is done.

    Parameters
    ----------
    path : str or Path
        Where `save_folder` is to write.

    Raises
    ------
    FileExistsError
        `path` is a file, or a folder with something else in it.
    OSError
        The folder cannot be looked into.
    """
    folder = Path(path)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        if not _is_no_folder(folder):
            return
        raise FileExistsError(
            f"wanted a folder to save into, and {folder} is a file. Choose another path or move it."
        ) from None
    left_behind = MANIFEST not in names and all(map(OURS.fullmatch, names))  # by a first save that was killed; or empty
    if not left_behind and not _was_saved(folder, names):
        raise FileExistsError(
            f"wanted a new or empty folder or one that was saved here before, and {folder} holds other files "
            f"({', '.join(sorted(names)[:3])}). Choose another path; nothing was changed."
        )


def _is_no_folder(place: Path) -> bool:
    """Whether something else than a folder is there. One look: another save may make or remove the folder just now."""
    try:
        return not stat.S_ISDIR(place.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _was_saved(folder: Path, names: Iterable[str]) -> bool:
    return MANIFEST in names and (_begins_as_ours(folder / MANIFEST) or any(map(OURS.fullmatch, names)))


def _begins_as_ours(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(START)) == START
    except OSError:
        return False
