"""How is the footer of a Parquet file read and written? Thrift's compact protocol, whatever the fields mean.

A struct is a dict of field number to (type, value), in the order in which its fields stand; fields that we know nothing
of are written as they were read.
"""

from __future__ import annotations

import struct
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

Struct = dict[int, tuple[int, Any]]
"""The value of a list is (type of its elements, elements)."""


class Unread(ValueError):
    """The bytes are not what Thrift writes."""


def read(body: bytes) -> Struct:
    """Return the struct that the bytes begin with. Raises Unread when there is none."""
    try:
        return _Reader(body).struct()
    except (IndexError, struct.error, RecursionError) as error:
        raise Unread("the bytes end in the middle") from error


def written(fields: Struct) -> bytes:
    """Return the struct as bytes."""
    out = bytearray()
    _put_struct(out, fields)
    return bytes(out)


def varint(number: int) -> bytes:
    """Return a whole number, not below 0, seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while (head := self._byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0x0F
            # Here a truth stands in its type, and only in lists in a byte.
            fields[number] = (kind, None if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return head & 0x0F, [self._value(head & 0x0F) for _ in range(count)]
        if kind == STRUCT:
            return self.struct()
        if kind in (BYTE, TRUE, FALSE):
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(8)
        raise Unread(f"type {kind} is none that a footer has")

    def _byte(self) -> int:
        self._at += 1
        return self._body[self._at - 1]

    def _bytes(self, count: int) -> bytes:
        self._at += count
        if self._at > len(self._body):
            raise IndexError
        return self._body[self._at - count : self._at]

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) > 0x7F:
            number |= (byte & 0x7F) << shift
            shift += 7
        return number | byte << shift

    def _zigzag(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)


def _put_struct(out: bytearray, fields: Struct) -> None:
    before = 0
    for number, (kind, value) in sorted(fields.items()):
        if number - before < 16:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            out += _zigzagged(number)
        if kind not in (TRUE, FALSE):
            _put(out, kind, value)
        before = number
    out.append(0)


def _put(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        out += _zigzagged(value)
    elif kind == BINARY:
        out += varint(len(value)) + value
    elif kind in (LIST, SET):
        inner, values = value
        if len(values) < 15:
            out.append(len(values) << 4 | inner)
        else:
            out.append(0xF0 | inner)
            out += varint(len(values))
        for each in values:
            _put(out, inner, each)
    elif kind == STRUCT:
        _put_struct(out, value)
    elif kind == DOUBLE:
        out += value
    else:
        out.append(value)


def _zigzagged(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)
