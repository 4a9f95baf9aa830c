"""Vectors of texts on disk: one SQLite file for many threads and processes, with the least recently used removed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from math import ceil
from os import PathLike
from pathlib import Path
from time import time_ns
from types import TracebackType
from warnings import warn
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

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


class VectorCache:
    """A context in which vectors of texts are looked up and stored, all of one encoder.

    Each use has its own connection, so that threads and processes share a file and no object. The file is in SQLite's
    write-ahead mode: who reads waits for nobody, and who writes waits for who writes. It belongs on a local disk.

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
        place = Path(place).expanduser()
        self.path = place if place.suffix in _SUFFIXES else place / _FILE_NAME
        self.max_bytes = megabytes * 1e6
        self._secret = blake2b(encoder.encode(), digest_size=32).digest()
        self._stores = True

    def __enter__(self) -> VectorCache:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except OSError:
            self._db.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def get(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are there, by text. One that was damaged on the disk is not there, and a warning says so."""
        text_of = {self._key(text): text for text in texts}
        found, damaged = {}, 0
        try:
            for key, checksum, vector in self._rows(list(text_of)):
                if key in text_of and isinstance(vector, bytes) and crc32(key + vector) == checksum:
                    found[text_of[key]] = np.frombuffer(vector, "<f4").astype(np.float32)
                else:
                    damaged += 1
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        if damaged:
            warn(f"{damaged} vectors in {self.path} are damaged; their texts are encoded again.", stacklevel=2)
        self._touch([self._key(text) for text in found])
        return found

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Store the vectors of texts, rows of an array. Where that fails, a warning says so, and no more are stored."""
        if not self._stores:
            return
        blobs = [vector.astype("<f4").tobytes() for vector in vectors]
        now, keys = time_ns(), [self._key(text) for text in texts]
        rows = [(key, now, crc32(key + blob), blob) for key, blob in zip(keys, blobs, strict=True)]
        try:
            with _transaction(self._db):
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)
                self._remove_excess()
        except sqlite3.Error as error:
            self._stores = False
            warn(f"Vectors could not be stored in {self.path} ({error}); go on without.", stacklevel=2)

    def _key(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=16).digest()

    def _rows(self, keys: list[bytes]) -> Iterator[tuple[bytes, int, bytes]]:
        for start in range(0, len(keys), _ASKED):
            part = keys[start : start + _ASKED]
            marks = ", ".join("?" * len(part))
            yield from self._db.execute(f"SELECT key, checksum, vector FROM vectors WHERE key IN ({marks})", part)

    def _touch(self, keys: list[bytes]) -> None:
        """Note the time of use. Where nothing can be written, nothing is noted, which harms no one."""
        now = time_ns()
        with suppress(sqlite3.Error), _transaction(self._db):
            self._db.executemany("UPDATE vectors SET used = ? WHERE key = ?", [(now, key) for key in keys])

    def _remove_excess(self) -> None:
        pages, free, size = (self._number(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
        taken = (pages - free) * size
        if taken <= self.max_bytes:
            return
        count = self._number("SELECT count(*) FROM vectors")
        removed = min(count, ceil(count * (taken - (1 - _FREED) * self.max_bytes) / taken))
        oldest = "SELECT key FROM vectors ORDER BY used LIMIT ?"
        self._db.execute(f"DELETE FROM vectors WHERE key IN ({oldest})", [removed])

    def _prepare(self) -> None:
        """Know the file, or make its table if it is new."""
        self._db.execute("PRAGMA synchronous = NORMAL")
        if not self._is_ready():
            with _transaction(self._db):
                if not self._is_ready():
                    self._refuse_content()
                    self._db.execute(_TABLE)
                    self._db.execute("CREATE INDEX by_use ON vectors (used)")
                    self._db.execute(f"PRAGMA application_id = {_OURS}")
                    self._db.execute(f"PRAGMA user_version = {_FORM}")
        with suppress(sqlite3.OperationalError):  # another uses it now; then the next one does this
            self._db.execute("PRAGMA journal_mode = WAL")

    def _is_ready(self) -> bool:
        """Whether the file is a cache of ours. Only a yes holds outside a transaction: another may be making it."""
        return (self._number("PRAGMA application_id"), self._number("PRAGMA user_version")) == (_OURS, _FORM)

    def _refuse_content(self) -> None:
        """Leave a file alone that is not new.

        Raises
        ------
        OSError
            It is somebody else's.
        """
        questions = "PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master"
        if any(map(self._number, questions)):
            raise self._unusable("it is a database of something else")

    def _number(self, question: str) -> int:
        return int(self._db.execute(question).fetchone()[0])

    def _unusable(self, why: object) -> OSError:
        return OSError(
            f"{self.path} cannot be used as a cache of embeddings: {why}. A cache only saves time: if it is one, "
            f"delete it and it is made anew; else give another place, cache=."
        )


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, and alone in writing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
