"""Cache of embeddings on disk: an SQLite file shared by threads and processes, with removal of the least recently used.

`TextEmbedder` uses it.
"""

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
from codebooks.errors import short_repr, shorten
from codebooks.storage import make_private_folder

__all__ = ["VectorCache"]

# The application id in the header of the file, and the version of its tables.
_APPLICATION_ID, _FORMAT = 0x63626B73, 1
_FILE_NAME = "embeddings.sqlite"
_SUFFIXES = (".sqlite", ".sqlite3", ".db")
# Seconds to wait for another writer.
_TIMEOUT = 60.0
# Number of keys in one query; SQLite allows at least 999.
_KEYS_PER_QUERY = 500
# Share of the maximum size that is freed when it is exceeded.
_FREED = 0.1
_TABLE = """CREATE TABLE vectors
    (key BLOB PRIMARY KEY, used INTEGER NOT NULL, checksum INTEGER NOT NULL, vector BLOB NOT NULL)"""
_INDEX = "CREATE INDEX by_use ON vectors (used)"

# The caches with an open connection.
_connected: set[VectorCache] = set()


def _disconnect_all() -> None:
    for cache in _connected:
        cache.disconnect()
    _connected.clear()


# A forked child must not inherit a connection, nor SQLite's record of file locks. Hooks before a fork run in reverse
# order: first the lock is taken, then the connections are closed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_disconnect_all)
_connection_lock = ForkSafeLock(delays_forks=True)


class VectorCache:
    """A context manager to look up and store embeddings of texts, all of one encoder.

    Each context has its own connection, so that threads and processes share the file but no object. A fork closes the
    connection, and the next call opens another. The file is in SQLite's write-ahead mode: readers do not wait, and
    writers wait for other writers. It must be on a local disk. An existing cache can be read if its folder cannot be
    written.

    A new file is readable and writable by its owner only (mode 600), and new folders too (mode 700). The mode of
    existing files and folders is not changed.

    The file is not trusted. A vector that is damaged, or is not a row of finite numbers, is encoded again, with a
    warning. A file with other tables, or of another format, raises an error. A user with write access to the file can
    still replace a vector by another one.

    Parameters
    ----------
    path : str or path
        A folder, which is created if it is missing, or a file that ends in .sqlite, .sqlite3 or .db.
    encoder : str
        Everything besides the text that the vectors depend on.
    megabytes : float
        Maximum size of the content. Above it, the least recently used vectors are removed until a tenth is free; the
        file does not shrink.

    Raises
    ------
    TypeError, ValueError
        `path` is not a path, or has a NUL character.
    OSError
        On entering, or in `get`: the file cannot be created or read, or is not a cache. It is not modified.

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

    def __init__(self, path: str | PathLike[str], encoder: str, megabytes: float) -> None:
        if not isinstance(path, str | PathLike) or not isinstance(os.fspath(path), str):
            raise TypeError(f"`cache` must be a path as str or Path, got {type(path).__name__}. Use a folder name.")
        if "\0" in os.fspath(path):
            raise ValueError(f"`cache` must be a path without NUL characters, got {short_repr(os.fspath(path))}.")
        try:
            path = Path(path).expanduser()
        except RuntimeError as error:  # "~name" without such a user
            raise ValueError(
                f"`cache` must be a path that exists or can be created, got {short_repr(path)}: {error}"
            ) from error
        self.path = path if path.suffix in _SUFFIXES else path / _FILE_NAME
        self.max_bytes = megabytes * 1e6
        self._hash_key = blake2b(encoder.encode(), digest_size=32).digest()
        self._stores = True
        self._db: sqlite3.Connection | None = None
        self._write_error: str | None = None  # the reason if the file can only be read

    def __enter__(self) -> VectorCache:
        with _connection_lock:
            try:
                self._connect()
            except (OSError, ValueError, sqlite3.Error) as error:
                raise self._build_error(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _connection_lock:
            self.disconnect()
            _connected.discard(self)

    def get(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the stored vectors by text. Damaged and non-finite vectors are left out, with a warning."""
        text_of = {self._compute_key(text): text for text in texts}
        vectors, damaged = {}, 0
        with _connection_lock:
            try:
                db = self._connect()
                for key, checksum, vector in _fetch_rows(db, list(text_of)):
                    decoded = _decode(key, checksum, vector) if key in text_of else None
                    if decoded is None:
                        damaged += 1
                    else:
                        vectors[text_of[key]] = decoded
                _update_access_times(db, [self._compute_key(text) for text in vectors])
            except (OSError, sqlite3.Error) as error:
                # A file that can only be read is read without locks. If another process has changed it, the vectors
                # read so far are valid.
                if self._write_error is None:
                    raise self._build_error(error) from error
        if damaged:
            warn(f"{damaged} vectors in {self.path} are damaged; their texts are encoded again.", stacklevel=2)
        return vectors

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store the vectors of texts, rows of an array. The first failure gives a warning and ends storing."""
        if not self._stores:
            return
        blobs = [vector.astype("<f4").tobytes() for vector in vectors]
        now, keys = time_ns(), [self._compute_key(text) for text in texts]
        rows = [(key, now, crc32(key + blob), blob) for key, blob in zip(keys, blobs, strict=True)]
        with _connection_lock:
            try:
                db = self._connect()
                if self._write_error is None:
                    with _begin_transaction(db):
                        db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
                        self._remove_excess(db)
                reason = self._write_error
            except (OSError, sqlite3.Error) as error:
                reason = str(error)
        if reason is not None:
            self._stores = False
            warn(
                f"Vectors could not be stored in {self.path} ({reason}). Continue without; check its permissions, or "
                f"use another cache=.",
                stacklevel=2,
            )

    def disconnect(self) -> None:
        """Close the connection until the next call needs one."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _compute_key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._hash_key, digest_size=16).digest()

    def _remove_excess(self, db: sqlite3.Connection) -> None:
        pages, free, size = (
            _fetch_number(db, f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        n_bytes = (pages - free) * size
        if n_bytes <= self.max_bytes:
            return
        count = _fetch_number(db, "SELECT count(*) FROM vectors")
        n_removed = min(count, ceil(count * (n_bytes - (1 - _FREED) * self.max_bytes) / n_bytes))
        oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
        db.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", [n_removed])

    def _connect(self) -> sqlite3.Connection:
        """Return the connection, opened if there is none; a read-only one if the file cannot be written."""
        if self._db is None:
            try:
                self._db, self._write_error = _open(self.path), None
            except (OSError, sqlite3.Error) as error:
                read_only = _open_read_only(self.path)
                if read_only is None:
                    raise
                self._db, self._write_error = read_only, str(error)
            _connected.add(self)
        return self._db

    def _build_error(self, reason: object) -> OSError:
        return OSError(
            f"{shorten(str(self.path), 150)} cannot be used as a cache of embeddings: {shorten(str(reason), 150)}. If "
            f"it is a cache, delete it, and it is created again; else use another path in cache=."
        )


def _decode(key: bytes, checksum: Any, vector: Any) -> NDArray[np.float32] | None:
    """Return a stored vector as an array; None if its checksum is wrong, or a number is not finite."""
    if not isinstance(vector, bytes) or crc32(key + vector) != checksum or not vector or len(vector) % 4:
        return None
    numbers = np.frombuffer(vector, "<f4").astype(np.float32)
    return numbers if np.isfinite(numbers).all() else None


def _open(path: Path) -> sqlite3.Connection:
    """Open a connection to a cache, which is created if it is missing."""
    make_private_folder(path.parent)
    # SQLite creates files that every user can read. The files that it creates beside one get the mode of that one.
    with suppress(OSError):  # SQLite then raises an error with the reason
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o600))
    db = _open_connection(path)
    try:
        _initialize(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_read_only(path: Path) -> sqlite3.Connection | None:
    """Open a connection without locks to a cache that consists of one file; return None if it does not."""
    if not path.is_file():
        return None
    path = path.resolve()  # SQLite puts its other files beside the target of a link
    if any(_has_content(f"{path}{end}") for end in ("-wal", "-journal")):
        return None
    with suppress(sqlite3.Error):
        db = _open_connection(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        with suppress(sqlite3.Error):
            if _is_ready(db):
                return db
        db.close()
    return None


def _open_connection(path: str | Path, *, uri: bool = False) -> sqlite3.Connection:
    """Open a connection that another thread can close before it forks."""
    db = sqlite3.connect(path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False, uri=uri)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    return db


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _initialize(db: sqlite3.Connection) -> None:
    """Check that the file is a cache, or create its table if it is new."""
    db.execute("PRAGMA synchronous = NORMAL")
    if not _is_ready(db):
        with _begin_transaction(db):
            if not _is_ready(db):
                _refuse_content(db)
                db.execute(_TABLE)
                db.execute(_INDEX)
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {_FORMAT}")
    with suppress(sqlite3.OperationalError):  # in use by another connection; a later one sets the mode
        db.execute("PRAGMA journal_mode = WAL")


def _is_ready(db: sqlite3.Connection) -> bool:
    """Whether the file is a cache. False is certain only in a transaction, because another process may be creating it.

    Raises
    ------
    sqlite3.DatabaseError
        The file is a cache of another format, or has other tables.
    """
    application_id, version = _fetch_number(db, "PRAGMA application_id"), _fetch_number(db, "PRAGMA user_version")
    if application_id != _APPLICATION_ID:
        return False
    if version != _FORMAT:
        raise sqlite3.DatabaseError(
            f"expected format {_FORMAT}, got format {version}; if the file is newer, run pip install -U codebooks-learn"
        )
    # Views and triggers of an untrusted file would run SQL of another user.
    tables = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY sql LIMIT 3").fetchall()
    if [" ".join(str(sql).split()) for (sql,) in tables] != sorted(" ".join(sql.split()) for sql in (_TABLE, _INDEX)):
        raise sqlite3.DatabaseError("it has other tables than a cache of embeddings")
    return True


def _refuse_content(db: sqlite3.Connection) -> None:
    """Raise an error if a file without the application id is not empty.

    Raises
    ------
    sqlite3.DatabaseError
        The file is another database.
    """
    queries = "PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"
    if any(_fetch_number(db, query) for query in queries):
        raise sqlite3.DatabaseError("it is another database")


def _fetch_number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


def _fetch_rows(db: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ", ".join("?" * len(part))
        query = f"SELECT key, checksum, vector FROM vectors WHERE key IN ({marks})"
        yield from db.execute(query, part).fetchall()  # fetchall leaves no cursor that keeps the connection open


def _update_access_times(db: sqlite3.Connection, keys: list[bytes]) -> None:
    """Store the time of use. Skip it if the file is locked or cannot be written, because it only orders removal."""
    if not keys:
        return
    now = time_ns()
    db.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.Error), _begin_transaction(db):
        db.executemany("UPDATE vectors SET used = ? WHERE key = ?", [(now, key) for key in keys])
    db.execute(f"PRAGMA busy_timeout = {_TIMEOUT * 1000:.0f}")


@contextmanager
def _begin_transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction with exclusive write access; an error undoes it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
