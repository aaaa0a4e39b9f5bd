"""What is a row of a batch as a plan has it? Text, which is read when a module asks for its values.

A module that hands the text on (a webhook) never has a million rows read to be written again as they were.
"""

from __future__ import annotations

from typing import Any

import orjson

from tailrace.destinations.base import BatchRow

_UNREAD: Any = object()


class WrittenRow(BatchRow):
    """A row as a plan has it: JSON text."""

    __slots__ = ("data_text", "key_text")

    key_text: str
    data_text: str

    def __init__(self, position: int, op: str, key_text: str, data_text: str | None) -> None:
        self.position = position
        self.op = op
        self._key = self._data = _UNREAD
        self.key_text = key_text
        self.data_text = "null" if data_text is None else data_text

    @property
    def key(self) -> Any:
        """Return the columns that tell it from other rows."""
        if self._key is _UNREAD:
            self._key = orjson.loads(self.key_text)
        return self._key

    @property
    def data(self) -> Any:
        """Return all columns, or None."""
        if self._data is _UNREAD:
            self._data = orjson.loads(self.data_text)
        return self._data
