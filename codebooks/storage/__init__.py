"""One folder that holds named arrays and a small description: read by memory map, replaced whole or not at all.

Each array is a `.npy` file whose name is used once and never again; `index.json` says which files belong together.
A save writes new files beside the old ones and then renames one file, a new `index.json`, onto the old. Whoever reads
therefore finds the old folder or the new one, also after a kill or a power cut, and never a mixture.

No part of a folder is ever run: there is no pickle in it, and nothing that it says is a path.
"""

from codebooks.storage.manifest import MANIFEST, DamagedFileError, damaged
from codebooks.storage.places import check_place, is_saved_folder
from codebooks.storage.reading import load_folder
from codebooks.storage.strings import check_strings, pack_strings, unpack_strings
from codebooks.storage.writing import save_folder

__all__ = [
    "MANIFEST",
    "DamagedFileError",
    "check_place",
    "check_strings",
    "damaged",
    "is_saved_folder",
    "load_folder",
    "pack_strings",
    "save_folder",
    "unpack_strings",
]
