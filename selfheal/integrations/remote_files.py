"""Copies of backups at any address that fsspec knows: ``pip install 'selfheal-kit[replication]'``.

Nothing of fsspec is loaded before a place is first used.
"""

from __future__ import annotations

import contextlib
import functools
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from selfheal.backup import ManifestLimits, Progress
from selfheal.backup.replicating import Replica
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, MissingExtraError, ReplicationError, SelfhealError
from selfheal.redaction import scrub

CHUNK = 1024 * 1024


def shown(url: str) -> str:
    """An address without what may be secret in it: user, password, query.

    >>> shown("sftp://me:secret@host/copies?key=1")
    'sftp://host/copies'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}" if parts.scheme else parts.path


class RemoteFiles:
    """Files at an address. Not safe from several threads.

    What went wrong is told in words, with the name of the place and without secrets. fsspec's own ways to copy trees
    are not used: they follow links, nest what is copied twice, and lose what failed.

    Args:
        url: as fsspec has them.
        name: what people know it by.
        options: for the file system of the address, such as a user name or a key file.

    Raises:
        MissingExtraError: if fsspec is not installed.
        ReplicationError: if there is no such file system, or it lacks a package.
    """

    def __init__(self, url: str, name: str, options: Mapping[str, Any]) -> None:
        try:
            import fsspec  # an extra, and slow: only who copies backups elsewhere pays
        except ImportError as error:
            raise MissingExtraError("copying backups elsewhere", "replication") from error
        self.name = name
        self._url = url
        self._made: set[str] = set()
        with self.words("reach"):
            self._fs, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, **options)
            self.root = str(root).rstrip("/")

    @contextlib.contextmanager
    def words(self, what: str) -> Iterator[None]:
        """Whatever a library raises, as one error that names the place, and without secrets.

        Raises:
            ReplicationError: if something was raised.
        """
        try:
            yield
        except SelfhealError:
            raise
        except Exception as error:  # each file system is another library, with errors of its own
            told = scrub(f"{type(error).__name__}: {error}".replace(self._url, self.name))
            raise ReplicationError(self.name, f"cannot {what}: {told}") from error

    def path(self, *parts: str) -> str:
        """The path of something there."""
        return posixpath.join(self.root, *parts)

    def directories(self) -> list[str]:
        """The names of directories right there; none where there is nothing yet."""
        with self.words("list what is there"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self.root, detail=True)
            except FileNotFoundError:
                return []
            return sorted(
                posixpath.basename(one["name"].rstrip("/")) for one in found if one.get("type") == "directory"
            )

    def files(self, *parts: str) -> dict[str, int]:
        """All files below a directory, by path relative to it, with their sizes."""
        above = self.path(*parts)
        with self.words(f"list {'/'.join(parts)}"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(above, detail=True)
            except FileNotFoundError:
                return {}
            skip = len(above) + 1
            return {name[skip:]: int(one.get("size") or 0) for name, one in found.items()}

    def read(self, path: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces.

        Raises:
            FileNotFoundError: if there is none.
            ReplicationError: if it cannot be read.
        """
        try:
            with self.words(f"read {path[len(self.root) + 1 :]}"), self._opened(path) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except ReplicationError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise error.__cause__ from None
            raise

    def _opened(self, path: str) -> Any:
        return self._fs.open(path, "rb")

    def write(self, path: str, chunks: Iterator[bytes], each: Callable[[int], object] = lambda count: None) -> None:
        """Write a file, over one that is there.

        Raises:
            ReplicationError: if that cannot be done.
        """
        with self.words(f"write {path[len(self.root) + 1 :]}"):
            above = posixpath.dirname(path)
            if above not in self._made:
                self._fs.makedirs(above, exist_ok=True)
                self._made.add(above)
            with self._fs.open(path, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    each(len(chunk))

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is well.

        Raises:
            ReplicationError: if it is still there.
        """
        with self.words(f"remove {path[len(self.root) + 1 :]}"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def remove_directory(self, path: str) -> None:
        """Remove a directory with what may be left in it, empty directories above all; some places have none.

        Raises:
            ReplicationError: if it is still there.
        """
        with self.words(f"remove {path[len(self.root) + 1 :]}"), contextlib.suppress(FileNotFoundError):
            if self._fs.isdir(path):
                self._fs.rm(path, recursive=True)


def _no_fault(step: str) -> None:
    """Nothing goes wrong here."""


def replica_at(
    url: str,
    *,
    name: str = "",
    key: bytes | None = None,
    limits: ManifestLimits | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[Progress], object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    step: Callable[[str], object] = _no_fault,
) -> Replica:
    """A place for copies of backups. Nothing is connected to before it is used.

    Args:
        url: ``file:///mnt/copies``, ``sftp://host/copies``, ``s3://bucket/copies`` and so on.
        name: what people know it by; by default the address without user, password and query.
        key: what manifests must be signed with; without one a signature is not looked at.
        limits: what is accepted in a manifest.
        options: for the file system of the address: see fsspec. Secrets belong here, not in the address.
        progress: called now and then with how far it is; what it raises ends the work.
        clock: the time.
        step: for tests: called with a name before each change at the place.

    Raises:
        ConfigError: if there is no address.
    """
    if not url.strip():
        raise ConfigError("replica_at.url", url, "an address as fsspec has them, such as file:///mnt/copies")
    told, given = name or shown(url), dict(options or {})
    connect = functools.partial(RemoteFiles, url, told, given)
    return Replica(connect, told, key=key, limits=limits, progress=progress, clock=clock, step=step)
