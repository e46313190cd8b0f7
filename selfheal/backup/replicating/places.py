"""What is asked of a place that copies of backups are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol


class Files(Protocol):
    """Files at a place, by paths that :meth:`path` makes.

    All of them raise :class:`~selfheal.errors.ReplicationError` where something cannot be done, which names the place
    and has no secrets in it. :class:`selfheal.integrations.remote_files.RemoteFiles` is one over fsspec.
    """

    def path(self, *parts: str) -> str:
        """The path of something there."""

    def directories(self) -> list[str]:
        """The names of directories right there; none where there is nothing yet."""

    def files(self, *parts: str) -> dict[str, int]:
        """All files below a directory, by path relative to it, with their sizes, as they are now."""

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces; ``FileNotFoundError`` if there is none."""

    def write(self, path: str, chunks: Iterator[bytes], each: Callable[[int], object] = ..., /) -> None:
        """Write a file, over one that is there; ``each`` is told the length of each piece."""

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is well."""

    def remove_directory(self, path: str) -> None:
        """Remove a directory with what may be left in it; places without directories have nothing to do."""
