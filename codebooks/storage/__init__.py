"""Storage of named arrays and a JSON description in one file, memory-mapped when read and replaced atomically.

Loading executes nothing, and files contain no references to other files.
"""

from codebooks.storage.array_file import (
    DamagedFileError,
    check_place,
    is_saved_file,
    load_arrays,
    make_private_folder,
    save_arrays,
)
from codebooks.storage.strings import check_strings, pack_strings, unpack_strings

__all__ = [
    "DamagedFileError",
    "check_place",
    "check_strings",
    "is_saved_file",
    "load_arrays",
    "make_private_folder",
    "pack_strings",
    "save_arrays",
    "unpack_strings",
]
