"""Vectors of texts on disk: one SQLite file for many threads and processes, with the least recently used removed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import ceil
from os import PathLike
from pathlib import Path
from time import time_ns
from types import TracebackType
from typing import Any
from warnings import warn
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from codebooks._fork_safe_lock import ForkSafeLock
from codebooks.errors import short_repr
from codebooks.storage import make_private_folder

__all__ = ["VectorCache"]

# What SQLite keeps in the head of the file for us to know it by, and the number of the form of its tables.
_OURS, _FORM = 0x63626B73, 1
_FILE_NAME = "embeddings.sqlite"
_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# Seconds that one waits for another who writes.
_PATIENCE = 60.0
# Keys in one question; SQLite allows 999 at least.
_ASKED = 500
# Where the bound is passed, so much of it is made free.
_FREED = 0.1
_TABLE = """CREATE TABLE vectors
    (key BLOB PRIMARY KEY, used INTEGER NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL)"""
_INDEX = "CREATE INDEX by_use ON vectors (used)"

# The caches that have a connection.
_connected: set[VectorCache] = set()


def _disconnect_all() -> None:
    for cache in _connected:
        cache.disconnect()
    _connected.clear()


# A forked child must inherit no connection, nor what SQLite notes of the locks on its files. Hooks before a fork run in
# reverse order: first the lock is taken, then the connections are closed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_disconnect_all)
_alone = ForkSafeLock(delays_forks=True)


class VectorCache:
    """A context in which vectors of texts are looked up and stored, all of one encoder.

    Each use has its own connection, so that threads and processes share a file and no object; a fork closes it, and the
    next call opens another. The file is in SQLite's write-ahead mode: who reads waits for nobody, and who writes waits
    for who writes. It belongs on a local disk. A cache that is there is read also where nothing can be written.

    A new file is readable and writable by its owner alone (mode 600), and so are new folders (mode 700). The mode of a
    file or folder that exists is left as it is.

    The file is data and not trusted. A vector that is damaged, or is not a row of finite numbers, is encoded again,
    with a warning. A file with other tables than a cache has, or of another format, is refused. Somebody who may write
    to the file can still replace a vector by another one.

    Parameters
    ----------
    place : str or path
        A folder, which is made if it is missing, or a file that ends in .sqlite, .sqlite3 or .db.
    encoder : str
        What the vectors depend on beside the text.
    megabytes : float
        How large the content may become. Past it, the vectors that were not used for the longest time are removed until
        a tenth is free; the file keeps the room for new ones.

    Raises
    ------
    TypeError, ValueError
        `place` is not a path, or has a NUL character.
    OSError
        On entering, or in `get`: the file cannot be made or read, or is no cache of vectors. It is left as it is.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with VectorCache(folder, "an encoder", 10) as cache:
    ...         cache.put(["tree"], np.array([[1.0, 2.0]], dtype=np.float32))
    ...     with VectorCache(folder, "an encoder", 10) as cache:
    ...         print(cache.get(["tree", "sea"]))
    {'tree': array([1., 2.], dtype=float32)}
    """

    def __init__(self, place: str | PathLike[str], encoder: str, megabytes: float) -> None:
        if not isinstance(place, str | PathLike) or not isinstance(os.fspath(place), str):
            raise TypeError(f"`cache` must be a path as str or Path, got {type(place).__name__}. Name a folder.")
        if "\0" in os.fspath(place):
            raise ValueError(f"`cache` must be a path without NUL characters, got {short_repr(os.fspath(place))}.")
        try:
            place = Path(place).expanduser()
        except RuntimeError as error:  # "~somebody" where there is no such user
            raise ValueError(
                f"`cache` must be a path that exists or can be made, got {short_repr(place)}: {error}"
            ) from error
        self.path = place if place.suffix in _SUFFIXES else place / _FILE_NAME
        self.max_bytes = megabytes * 1e6
        self._secret = blake2b(encoder.encode(), digest_size=32).digest()
        self._stores = True
        self._db: sqlite3.Connection | None = None
        self._hindrance: str | None = None  # why the file can only be read

    def __enter__(self) -> VectorCache:
        with _alone:
            try:
                self._connection()
            except (OSError, ValueError, sqlite3.Error) as error:
                raise self._unusable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _alone:
            self.disconnect()
            _connected.discard(self)

    def get(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Look up vectors, by text. One that is damaged or is no row of finite numbers is left out, with a warning."""
        text_of = {self._key(text): text for text in texts}
        found, damaged = {}, 0
        with _alone:
            try:
                db = self._connection()
                for key, checksum, vector in _fetch_rows(db, list(text_of)):
                    numbers = _decode(key, checksum, vector) if key in text_of else None
                    if numbers is None:
                        damaged += 1
                    else:
                        found[text_of[key]] = numbers
                _update_access_times(db, [self._key(text) for text in found])
            except (OSError, sqlite3.Error) as error:
                # A file that can only be read is read without locks: another may have changed it, so what was found
                # until then counts.
                if self._hindrance is None:
                    raise self._unusable(error) from error
        if damaged:
            warn(f"{damaged} vectors in {self.path} are damaged; their texts are encoded again.", stacklevel=2)
        return found

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store the vectors of texts, rows of an array. Where that fails, a warning says so, and no more are stored."""
        if not self._stores:
            return
        blobs = [vector.astype("<f4").tobytes() for vector in vectors]
        now, keys = time_ns(), [self._key(text) for text in texts]
        rows = [(key, now, crc32(key + blob), blob) for key, blob in zip(keys, blobs, strict=True)]
        with _alone:
            try:
                db = self._connection()
                if self._hindrance is None:
                    with _begin_transaction(db):
                        db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
                        self._remove_excess(db)
                hindrance = self._hindrance
            except (OSError, sqlite3.Error) as error:
                hindrance = str(error)
        if hindrance is not None:
            self._stores = False
            warn(f"Vectors could not be stored in {self.path} ({hindrance}); go on without.", stacklevel=2)

    def disconnect(self) -> None:
        """Close the connection until the next call needs one."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).digest()

    def _remove_excess(self, db: sqlite3.Connection) -> None:
        pages, free, size = (
            _fetch_number(db, f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        taken = (pages - free) * size
        if taken <= self.max_bytes:
            return
        count = _fetch_number(db, "SELECT count(*) FROM vectors")
        removed = min(count, ceil(count * (taken - (1 - _FREED) * self.max_bytes) / taken))
        oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
        db.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", [removed])

    def _connection(self) -> sqlite3.Connection:
        """The connection, opened if there is none; one that only reads where nothing can be written."""
        if self._db is None:
            try:
                self._db, self._hindrance = _open(self.path), None
            except (OSError, sqlite3.Error) as error:
                frozen = _open_read_only(self.path)
                if frozen is None:
                    raise
                self._db, self._hindrance = frozen, str(error)
            _connected.add(self)
        return self._db

    def _unusable(self, why: object) -> OSError:
        return OSError(
            f"{self.path} cannot be used as a cache of embeddings: {why}. A cache only saves time: if it is one, "
            f"delete it and it is made anew; else give another place, cache=."
        )


def _decode(key: bytes, checksum: Any, vector: Any) -> NDArray[np.float32] | None:
    """The numbers of a stored vector; None if they are not what was stored, or cannot be an embedding."""
    if not isinstance(vector, bytes) or crc32(key + vector) != checksum or not vector or len(vector) % 4:
        return None
    numbers = np.frombuffer(vector, "<f4").astype(np.float32)
    return numbers if np.isfinite(numbers).all() else None


def _open(path: Path) -> sqlite3.Connection:
    """A connection to a cache, which is made if it is missing."""
    make_private_folder(path.parent)
    # SQLite would let everybody read a new file; the files that it makes beside one get the mode of that one.
    with suppress(OSError):  # then SQLite says what is wrong
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
    db = _connect(path)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_read_only(path: Path) -> sqlite3.Connection | None:
    """A connection that needs no other file and no lock, to a cache that is all in one file; None where it is not."""
    if not path.is_file():
        return None
    path = path.resolve()  # SQLite keeps its other files beside what a link leads to
    if any(_has_content(f"{path}{end}") for end in ("-wal", "-journal")):
        return None
    with suppress(sqlite3.Error):
        db = _connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        with suppress(sqlite3.Error):
            if _is_ready(db):
                return db
        db.close()
    return None


def _connect(to: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    """A connection that another thread may close, before it forks."""
    db = sqlite3.connect(to, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, uri=uri)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _prepare(db: sqlite3.Connection) -> None:
    """Know the file, or make its table if it is new."""
    db.execute("PRAGMA synchronous = NORMAL")
    if not _is_ready(db):
        with _begin_transaction(db):
            if not _is_ready(db):
                _refuse_content(db)
                db.execute(_TABLE)
                db.execute(_INDEX)
                db.execute(f"PRAGMA application_id = {_OURS}")
                db.execute(f"PRAGMA user_version = {_FORM}")
    with suppress(sqlite3.OperationalError):  # another uses it now; then the next one does this
        db.execute("PRAGMA journal_mode = WAL")


def _is_ready(db: sqlite3.Connection) -> bool:
    """Whether the file is a cache of ours. Only a yes holds outside a transaction: another may be making it.

    Raises
    ------
    sqlite3.DatabaseError
        It is one of another format, or was changed into something else.
    """
    owner, form = _fetch_number(db, "PRAGMA application_id"), _fetch_number(db, "PRAGMA user_version")
    if owner != _OURS:
        return False
    if form != _FORM:
        raise sqlite3.DatabaseError(
            f"it has format {form}, and this version of the library reads format {_FORM}; where the file is newer, "
            f"upgrade: pip install -U codebooks-learn"
        )
    # Views and triggers would run what somebody else wrote.
    found = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql LIMIT 3").fetchall()
    if [" ".join(str(sql).split()) for (sql,) in found] != sorted(" ".join(sql.split()) for sql in (_TABLE, _INDEX)):
        raise sqlite3.DatabaseError("it has other tables than a cache of embeddings")
    return True


def _refuse_content(db: sqlite3.Connection) -> None:
    """Leave a file alone that is not new.

    Raises
    ------
    sqlite3.DatabaseError
        It is somebody else's.
    """
    questions = "PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"
    if any(_fetch_number(db, question) for question in questions):
        raise sqlite3.DatabaseError("it is a database of something else")


def _fetch_number(db: sqlite3.Connection, question: str) -> int:
    return int(db.execute(question).fetchone()[0])


def _fetch_rows(db: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    for start in range(0, len(keys), _ASKED):
        part = keys[start : start + _ASKED]
        marks = ", ".join("?" * len(part))
        question = f"SELECT key, checksum, vector FROM vectors WHERE key IN ({marks})"
        yield from db.execute(question, part).fetchall()  # no cursor is left that would keep the connection open


def _update_access_times(db: sqlite3.Connection, keys: list[bytes]) -> None:
    """Note the time of use. Where another writes, or nothing can be written, nothing is noted, which harms no one."""
    if not keys:
        return
    now = time_ns()
    db.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.Error), _begin_transaction(db):
        db.executemany("UPDATE vectors SET used = ? WHERE key = ?", [(now, key) for key in keys])
    db.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000:.0f}")


@contextmanager
def _begin_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and alone in writing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
