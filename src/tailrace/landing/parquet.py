"""How does a row of a Parquet file become a call, by the mapping in the source's contract? By its types, exactly.

A row in quarantine is kept as JSON, and with it the types of its file's columns: tried again, it is cast back to them
and read by the same statement, so it becomes what it would have become.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import duckdb
from duckdb import sqltype
from duckdb.sqltypes import DuckDBPyType

from tailrace import engine
from tailrace.errors import DataError, nearest
from tailrace.landing import chunks
from tailrace.landing.mapping import IDS, Body, Column, Mapping, columns_of
from tailrace.landing.rows import SPLIT_RAW, Expressions, JsonlStage, MappedStage

_ROW_NUMBER = "file_row_number"
_FLOATS = ("double", "float")
# Of these DuckDB has more digits than a JSON reader keeps.
_WIDE = ("decimal", "hugeint", "uhugeint")
_MAGIC = re.compile(r"[*?[]")


class TypedExpressions(Expressions):
    """The SQL of a mapping's values where columns, and the fields of structs, have types."""

    def __init__(self, mapping: Mapping, types: dict[str, str]) -> None:
        self.mapping, self._types = mapping, types

    def column_text(self, column: Column) -> str:
        """Return the SQL of a column, or of what its keys lead to, as text."""
        value, kind, keys = _inside(column, self._types)
        if not keys:
            return f"{value}::varchar"
        return f"nullif(as_object({_json(value, kind)}) ->> {engine.literal(Column('', keys).pointer)}, '')"

    def column_json(self, column: Column) -> str:
        """Return the SQL of a column, or of what its keys lead to, as JSON."""
        value, kind, keys = _inside(column, self._types)
        if not keys:
            return _json(value, kind)
        return f"(as_object({_json(value, kind)}) -> {engine.literal(Column('', keys).pointer)})"

    def object(self, body: Body, everything: str, *, keep_nulls: bool) -> str:
        """Return the SQL of a body as JSON text, null when it is empty; a struct has every field in every row."""
        made = super().object(body, everything, keep_nulls=keep_nulls)
        if isinstance(body, Column) and _inside(body, self._types)[1].id == "struct":
            return f"nullif(json_merge_patch('{{}}', {made}::json)::varchar, '{{}}')"
        return made

    def holders(self) -> list[str]:
        """Return the SQL, as JSON, of what has to hold an object and is no struct."""
        found = []
        for column in (*self.mapping.nested(), *self.mapping.whole()):
            value, kind, keys = _inside(column, self._types)
            if column in self.mapping.whole() and keys:
                found.append(self.column_json(column))
            if keys or column in self.mapping.whole():
                # JSON by its type is valid, and may have a key twice: it is judged as the text that it is.
                found.append(f"to_json({value}::varchar)" if str(kind) == "JSON" else _json(value, kind))
        return found

    def fault(self) -> str:
        """Return the SQL of what is wrong with a row; null when nothing is."""
        typed = [_inside(column, self._types) for column in self.mapping.read()]
        floats = dict.fromkeys(value for value, kind, keys in typed if kind.id in _FLOATS and not keys)
        faults = [f"case when not isfinite({value}) then 'not_a_number' end" for value in floats]
        return f"coalesce({', '.join([*faults, super().fault()])})"

    def typed_time(self) -> str | None:
        """Return the SQL of the event's time where its column, or field, is a time; None where it is text."""
        at = self.mapping.timestamp
        if not isinstance(at, Column):
            return None
        value, kind, keys = _inside(at, self._types)
        if keys:
            return None
        if str(kind) == "TIMESTAMP WITH TIME ZONE":
            return f"{value}::timestamp"
        return f"local_moment({value}::timestamp)" if str(kind).startswith("TIMESTAMP") or str(kind) == "DATE" else None


class ParquetStage(MappedStage):
    """Parquet: typed columns, cast exactly. Rows are numbered from 1."""

    def header(self, path: Path) -> str | None:
        """Return the file's name, which chooses the mapping, and the types of its columns, as JSON."""
        return json.dumps({"file": path.name, "columns": self._types(path)})

    def read(self, file_no: int, path: Path) -> str:
        """Put every row into the stage and return the file's SHA-256."""
        mapping, types = self.mapping(path), self._types(path)
        self.see(path, types)
        self._check(mapping, types, path)
        columns = ", ".join(f"{engine.identifier(name)} as {place}" for name, place in _places(types).items())
        rows = f"select {file_no} as file_no, {_ROW_NUMBER} + 1 as line, 0 as part, {columns} from"
        try:
            self.stage(self._typed(mapping, types, f"{rows} {_relation(path, f'{_ROW_NUMBER} = true')}"))
        except duckdb.Error as error:
            raise _unread(path, error) from error
        return chunks.sha256(path)

    def again(self, lines: str) -> None:
        """Put rows, kept as JSON, back into the stage, each with the types that its file had."""
        headers = self.connection.execute(
            f"select distinct f.header from ({lines}) as l inner join files as f on l.file_no = f.file_no"
        ).fetchall()
        for (header,) in headers:
            about = json.loads(header)
            path, types = Path(about["file"]), about.get("columns")
            its = (
                f"select l.* from ({lines}) as l inner join files as f on l.file_no = f.file_no"
                f" where f.header = {engine.literal(header)}"
            )
            if types is None:
                self._untyped(its)
                continue
            mapping = self.mapping(path)
            self._check(mapping, types, path)
            kinds = ", ".join(f"{engine.identifier(name)} {_kept(sqltype(kind))}" for name, kind in types.items())
            columns = ", ".join(f"s.{engine.identifier(name)} as {place}" for name, place in _places(types).items())
            typed = f"select * exclude (l), l::json::struct({kinds}) as s from ({its})"
            self.stage(self._typed(mapping, types, f"select file_no, line, part, {columns} from ({typed})"))

    def _untyped(self, lines: str) -> None:
        # Rows that were put into quarantine before their types were kept are read as lines of JSON.
        inner = JsonlStage.__new__(JsonlStage)
        inner.__dict__ = self.__dict__
        inner.again(lines)

    def judge(self) -> None:
        """Leave things as they are: typed columns have nothing to doubt."""

    def _types(self, path: Path) -> dict[str, str]:
        try:
            described = self.connection.execute(f"describe select * from {_relation(path)}").fetchall()
        except duckdb.Error as error:
            raise _unread(path, error) from error
        for name, *_ in described:
            if name.lower() == _ROW_NUMBER:
                raise DataError(
                    f"{path}: a column is named `{name}`, by which DuckDB counts rows; expected another name: rename"
                    " the column. Nothing of this call was landed."
                )
        return {row[0]: row[1] for row in described}

    def _typed(self, mapping: Mapping, types: dict[str, str], rows: str) -> str:
        """Return the statement that stage.sql takes, of `rows` whose columns go by their places."""
        places = _places(types)
        made = TypedExpressions(mapping, types)
        everything = made.object(self.others(mapping, list(types)), "", keep_nulls=False)
        packed = ", ".join(
            f"{engine.identifier(name)} := {_json(place, sqltype(types[name]), keeps_all=True)}"
            for name, place in places.items()
        )
        extra = {
            "raw": f"to_json(struct_pack({packed}))::varchar",
            **SPLIT_RAW,
            "unread": made.fault(),
        }
        return made.found(rows, extra, everything, made.typed_time(), keep_nulls=False)

    def _check(self, mapping: Mapping, types: dict[str, str], path: Path) -> None:
        """Raise DataError for a file that lacks what the mapping names, or whose ids are no exact numbers."""
        self.check_columns(mapping, list(types), path)
        for column in mapping.nested():
            _, kind, keys = _inside(column, types)
            if keys and kind.id == "struct":
                raise DataError(
                    f"{path}: column `{column.name}` has no field `{keys[0]}`; expected it, as the mapping at"
                    f" {self.contract.path}:{mapping.line} says.{nearest(keys[0], list(_children(kind)))} Correct the"
                    " mapping or the file. Nothing of this call was landed."
                )
        for target, value in mapping.texts:
            for column in columns_of(value) if target in IDS else ():
                _, kind, _ = _inside(column, types)
                if kind.id in _FLOATS:
                    raise DataError(
                        f"{path}: column `{'.'.join((column.name, *column.keys))}` is {kind}, and the mapping makes it"
                        f" `{target}`; expected whole numbers or text, for 17850.0 and 17850 are two ids: write the"
                        " column as an integer or as text. Nothing of this call was landed."
                    )


def _relation(path: Path, *options: str) -> str:
    """Return the relation of the rows of this one file, of which only the content counts.

    Brackets keep DuckDB from taking a file's name for a pattern, which finds other files; what a folder's name says
    (`day=1/`) would stand in the place of a column.
    """
    name = _MAGIC.sub(lambda found: f"[{found[0]}]", str(path))
    return f"read_parquet({', '.join([engine.literal(name), 'hive_partitioning = false', *options])})"


def _places(types: dict[str, str]) -> dict[str, str]:
    """Return by which name each column goes in statements: its own might be one of theirs."""
    return {name: f"c{number}" for number, name in enumerate(types)}


def _inside(column: Column, types: dict[str, str]) -> tuple[str, DuckDBPyType, tuple[str, ...]]:
    """Return the SQL and the type of the innermost typed field on the way to a column's value, and the keys left."""
    value, kind, keys = _places(types)[column.name], sqltype(types[column.name]), column.keys
    while keys and kind.id == "struct" and keys[0] in (children := _children(kind)):
        value, kind, keys = f"struct_extract({value}, {engine.literal(keys[0])})", children[keys[0]], keys[1:]
    return value, kind, keys


def _json(value: str, kind: DuckDBPyType, *, depth: int = 0, keeps_all: bool = False) -> str:
    """Return the SQL of a value as JSON: wide numbers are text, NaN and Infinity null (text when it `keeps_all`)."""
    if kind.id in _FLOATS:
        other = f" else to_json({value}::varchar)" if keeps_all else ""
        return f"case when isfinite({value}) then to_json({value}){other} end"
    if kind.id in _WIDE:
        return f"to_json({value}::varchar)"
    inner = f"x{depth}"
    if not any(each in str(kind).lower() for each in (*_FLOATS, *_WIDE)):
        return f"to_json({value})"

    def below(at: str, of: DuckDBPyType) -> str:
        return _json(at, of, depth=depth + 1, keeps_all=keeps_all)

    children = _children(kind)
    if kind.id in ("list", "array"):
        made = f"list_transform({value}, lambda {inner}: {below(inner, children['child'])})"
    elif kind.id == "map":
        entry = f"struct_pack(k := {inner}.key, v := {below(f'{inner}.value', children['value'])})"
        made = f"map_from_entries(list_transform(map_entries({value}), lambda {inner}: {entry}))"
    elif kind.id == "struct":
        fields = (
            f"{engine.identifier(name)} := {below(f'struct_extract({value}, {engine.literal(name)})', of)}"
            for name, of in children.items()
        )
        made = f"struct_pack({', '.join(fields)})"
    else:
        made = value
    return f"case when {value} is not null then to_json({made}) end"


def _kept(kind: DuckDBPyType) -> str:
    """Return the type as which a value comes back from JSON: bytes stay the text that they became."""
    inner = {name: _kept(of) for name, of in _children(kind).items()}
    if kind.id == "blob":
        return "varchar"
    if kind.id == "list":
        return f"{inner['child']}[]"
    if kind.id == "map":
        return f"map({inner['key']}, {inner['value']})"
    if kind.id == "struct":
        return f"struct({', '.join(f'{engine.identifier(name)} {of}' for name, of in inner.items())})"
    return str(kind)


def _children(kind: DuckDBPyType) -> dict[str, DuckDBPyType]:
    has_some = kind.id in ("list", "array", "map", "struct")
    return {name: of for name, of in kind.children if isinstance(of, DuckDBPyType)} if has_some else {}


def _unread(path: Path, error: duckdb.Error) -> DataError:
    return DataError(
        f"{path}: the Parquet file cannot be read ({str(error).splitlines()[0][:200]}); expected a whole"
        " one: copy it again, then land it again. Nothing of this call was landed."
    )
