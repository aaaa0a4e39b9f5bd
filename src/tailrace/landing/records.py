"""How is a record of ours read, a JSON file that holds what a model describes, and what is said of a damaged one?"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from tailrace.errors import DataError

Record = TypeVar("Record", bound=BaseModel)


def read(model: type[Record], path: Path, what: str, command: str, without: str = "") -> Record:
    """Return what the file at `path` holds.

    Raises DataError when it is damaged, saying `what` it is, that `command` wrote it, and what is so `without` it.
    """
    try:
        return model.model_validate(orjson.loads(path.read_bytes()))
    except (ValidationError, orjson.JSONDecodeError) as error:
        raise DataError(
            f"{path}: {what} cannot be read ({type(error).__name__}); expected what `{command}` wrote: restore the"
            f" folder from a backup{without}"
        ) from error
