"""Versions of a served model: written beside, then renamed once."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

# A server looks at folders whose names are numbers alone.
_PARTIAL = ".partial-"
# What a killed export left is removed by the first export after a day.
_STALE_SECONDS = 24 * 3600


class NewVersion:
    """A version folder while it is written.

    Args:
        folder: Where its files go.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder


@contextlib.contextmanager
def new_version(path: str | os.PathLike) -> Iterator[NewVersion]:
    """Makes the next version, `path`/1, `path`/2, ..., all or nothing.

    What is written into `folder` becomes the new version when the block ends
    well: flushed to the disk and renamed, so that a reader sees either none
    of it or all. If the block fails, nothing stays behind.

    Args:
        path: The model's folder, which holds its versions.

    Raises:
        ValueError: If the path is a file, or cannot be written.
    """
    path = pathlib.Path(path)
    made = _make_folder(path)
    try:
        _remove_stale(path)
        partial = pathlib.Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=path))
        try:
            partial.chmod(0o755)
            version = NewVersion(partial)
            yield version
            _flush(partial)
            version.folder = _rename(partial, path)
            _flush_folder(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _make_folder(path: pathlib.Path) -> list[pathlib.Path]:
    """Makes a folder; returns what was made, innermost first."""
    missing = []
    place = path
    while not place.exists():
        missing.append(place)
        place = place.parent
    if not place.is_dir():
        raise ValueError(
            f"A model is exported into a folder, and {str(place)!r} is a file. "
            f"Give another path. Received: path={str(path)!r}"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise ValueError(
            f"The folder {str(place)!r} is not writable. Give another path, or "
            f"change its permissions. Received: path={str(path)!r}"
        )
    path.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_stale(path: pathlib.Path) -> None:
    for partial in path.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(partial)


def _rename(partial: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Gives a written folder the next free number."""
    while True:
        taken = [int(p.name) for p in path.iterdir() if p.name.isdecimal()]
        version = path / str(max(taken, default=0) + 1)
        try:
            partial.rename(version)
            return version
        except OSError:
            # Another export took the number in the meantime.
            if not version.exists():
                raise


def _flush(folder: pathlib.Path) -> None:
    """Has the disk hold all files of a folder, then their names."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                os.fsync(file.fileno())
        _flush_folder(place)


def _flush_folder(folder: str | os.PathLike) -> None:
    if os.name != "posix":
        return  # Windows has no folders to flush.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
