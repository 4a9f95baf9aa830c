"""Loading of the models that `codebooks topics` saves."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from codebooks.errors import UserError

if TYPE_CHECKING:
    from codebooks.topic_model.model import TopicModel

FILE = "model.skops"  # in the folder that `topics` writes
_OLD_FILE = "model.joblib"


def load_model(place: str | Path, trust: bool = False) -> TopicModel:
    """Load a model from its file, or from the folder that contains it; see `TopicModel.load`.

    Raises
    ------
    UserError
        If there is no model, it cannot be loaded, or it requires `trust`.
    """
    from codebooks.topic_model.model import TopicModel

    place = Path(place)
    if not place.exists():
        raise UserError(f"there is no model {place}; create one with codebooks topics.")
    file = place
    if place.is_dir():
        names = [name for name in (FILE, _OLD_FILE) if (place / name).is_file()]
        if not names:
            raise UserError(f"the folder {place} contains no {FILE}; create one with codebooks topics.")
        file = place / names[0]
    if not zipfile.is_zipfile(file):
        raise UserError(
            f"{file} is not a model, or was made by an older version of codebooks; create it again with codebooks "
            "topics."
        )
    try:
        return TopicModel.load(file, trust=trust)
    except UserError as error:
        raise UserError(str(error).replace("TopicModel.load(path, trust=True)", "--trust")) from error
