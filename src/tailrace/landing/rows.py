"""How does a row of a CSV or JSONL file, or of a table, become a call, by the mapping in the source's contract?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tailrace import engine
from tailrace.errors import DataError, nearest
from tailrace.landing import chunks, csv_records, exact, nested
from tailrace.landing.contract import Contract
from tailrace.landing.learned import SPEC, kinds
from tailrace.landing.mapping import TEXTS, Body, Column, Const, Mapping, Value
from tailrace.landing.stage import Stage
from tailrace.settings import Settings

_DELIMITERS = {";": '";"', "\t": '"\\t"', "|": '"|"', ",": '","'}
SPLIT_RAW = {
    "is_odd": "false",
    "is_verbatim": "false",
    "shape": "null",
    "is_shape_new": "false",
    "is_uncovered": "false",
    "n_found": "0",
}


class Expressions:
    """The SQL of a mapping's values. `text` and `body` say how a whole column is read as text and as JSON."""

    def __init__(self, mapping: Mapping, text: Callable[[str], str], body: Callable[[str], str]) -> None:
        self.mapping, self._text, self._body = mapping, text, body

    def text(self, value: Value | None) -> str:
        """Return the SQL of a value as text; null for none."""
        if value is None:
            return "null::varchar"
        if isinstance(value, Const):
            return engine.literal(value.value if isinstance(value.value, str) else json.dumps(value.value))
        parts = value.parts if not isinstance(value, Column) else (value,)
        return " || ".join(
            engine.literal(part) if isinstance(part, str) else f"({self.column_text(part)})" for part in parts
        )

    def column_text(self, column: Column) -> str:
        """Return the SQL of a column, or of what its keys lead to, as text."""
        if not column.keys:
            return self._text(column.name)
        return f"nullif({self._holder(column)} ->> {engine.literal(column.pointer)}, '')"

    def column_json(self, column: Column) -> str:
        """Return the SQL of a column, or of what its keys lead to, as JSON."""
        if not column.keys:
            return self._body(column.name)
        return f"({self._holder(column)} -> {engine.literal(column.pointer)})"

    def _holder(self, column: Column) -> str:
        return f"as_object({self._body(column.name)})"

    def holders(self) -> list[str]:
        """Return the SQL, as JSON, of what has to hold an object or text that is one."""
        columns = [*(Column(column.name) for column in self.mapping.nested()), *self.mapping.whole()]
        return [self.column_json(column) for column in columns]

    def fault(self) -> str:
        """Return the SQL of what is wrong with the objects that the mapping looks into; null when nothing is."""
        faults = [f"object_fault({holder})" for holder in dict.fromkeys(self.holders())]
        faults += [f"id_fault({self.column_json(column)})" for column in self.mapping.ids() if column.keys]
        return f"coalesce({', '.join(faults)})" if faults else "null::varchar"

    def _json(self, value: Value) -> str:
        if isinstance(value, Column):
            return self.column_json(value)
        if isinstance(value, Const):
            return f"{engine.literal(json.dumps(value.value))}::json"
        return f"to_json({self.text(value)})"

    def object(self, body: Body, everything: str, *, keep_nulls: bool) -> str:
        """Return the SQL of a body as JSON text; null when it is empty."""
        if body is None:
            return "null::varchar"
        if isinstance(body, Column):
            return f"nullif(as_object({self.column_json(body)})::varchar, '{{}}')"
        if isinstance(body, str):
            return f"nullif({everything}, '{{}}')"
        if keep_nulls:
            # What a line does not name is no null: a null says that there is none.
            named = (f"{engine.literal(_key(name))} || ({self._json(value)})::varchar" for name, value in body)
            return f"nullif('{{' || concat_ws(',', {', '.join(named)}) || '}}', '{{}}')"
        pairs = ", ".join(f"{engine.literal(name)}, {self._json(value)}" for name, value in body)
        return f"nullif(json_merge_patch('{{}}', json_object({pairs}))::varchar, '{{}}')"

    def found(
        self, relation: str, extra: dict[str, str], everything: str, typed_time: str | None, *, keep_nulls: bool
    ) -> str:
        """Return the statement that stage.sql takes: `extra` are the columns that depend on the format."""
        texts = dict(self.mapping.texts)
        at = self.text(self.mapping.timestamp)
        columns = {
            "file_no": "file_no",
            "line": "line",
            "part": "part",
            **extra,
            **{name: f"nullif({self.text(texts.get(name))}, '')" for name in TEXTS},
            "type": self.text(self.mapping.type),
            "event_at": typed_time or f"moment({at})",
            "is_time_wrong": "false" if typed_time else f"(({at}) is not null and moment({at}) is null)",
            "properties": self.object(self.mapping.properties, everything, keep_nulls=keep_nulls),
            "traits": self.object(self.mapping.traits, everything, keep_nulls=keep_nulls),
            "context": "null::varchar",
            "rest": "null::varchar",
        }
        return "select " + ", ".join(f"{sql} as {name}" for name, sql in columns.items()) + f" from ({relation})"


class MappedStage(Stage):
    """What the three mapped formats have in common: a mapping by file name, checked against the file's columns."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        super().__init__(settings, contract)
        nested.prepare(self.connection)
        self._ids: dict[int, tuple[str, ...]] = {}
        self._read_by: tuple[object, ...] = ()

    def _turn_to(self, *read_by: object) -> None:
        """Put into the stage what waits and is read otherwise than by this."""
        if read_by != self._read_by:
            self.read_held()
            self._read_by = read_by

    def mapping(self, path: Path) -> Mapping:
        """Return the mapping for a file."""
        found = self.contract.mapping_for(path.name)
        assert found is not None
        return found

    def check_columns(self, mapping: Mapping, columns: list[str], path: Path) -> None:
        """Raise DataError when the mapping names a column that the file does not have."""
        for name in mapping.columns():
            if name not in columns:
                raise DataError(
                    f"{path}: there is no column `{name}` in its header; expected it, as the mapping at"
                    f" {self.contract.path}:{mapping.line} says.{nearest(name, columns)}{_split(columns)} Correct the"
                    f" mapping (a text that is always the same is `{{const: {name}}}`) or the file. Nothing of this"
                    " call was landed."
                )

    @property
    def needed(self) -> dict[str, list[str]] | None:
        """Return None: a file says itself which columns it has."""
        return None

    def columns(self) -> dict[str, dict[str, str]]:
        """Return the columns that the files have, by mapping."""
        return self.seen

    def see(self, path: Path, columns: dict[str, str]) -> None:
        """Note which columns a file has; types that differ between files are named together."""
        seen = self.seen.setdefault(self.contract.glob_for(path.name), {})
        for name, kind in columns.items():
            kinds = {*seen.get(name, "").split(" or "), *kind.split(" or ")} - {""}
            seen[name] = " or ".join(sorted(kinds))

    def others(self, mapping: Mapping, columns: list[str]) -> tuple[tuple[str, Value], ...]:
        """Return the columns that the mapping uses nowhere, or only looks into, as a body."""
        used = set(mapping.used())
        return tuple((name, Column(name)) for name in columns if name not in used)


class CsvStage(MappedStage):
    """CSV: the header is read by us, columns are found by name, everything is text, every row as wide as the header."""

    def header(self, path: Path) -> str | None:
        """Return the file's name and column names, as JSON: a lone row of it can be read with them."""
        line = chunks.first_line(path)
        if not line.strip():
            return None
        try:
            names = csv_records.fields(line.decode("utf-8"), self.contract.delimiter)
        except (UnicodeDecodeError, ValueError) as error:
            raise DataError(
                f"{path}: the first line is no CSV header in UTF-8; expected column names separated by"
                f" `{self.contract.delimiter}`: correct the file. Nothing of this call was landed."
            ) from error
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise DataError(
                f"{path}: the header names `{min(twice)}` more than once; expected each column once: rename one."
                " Nothing"
                " of this call was landed."
            )
        return json.dumps({"file": path.name, "columns": names})

    def read(self, file_no: int, path: Path) -> str:
        """Put every record below the header into the stage and return the file's SHA-256."""
        header = self.header(path)
        reader = chunks.Reader(path)
        if header is None:
            for _ in reader.chunks():
                pass
            return reader.sha256
        names = json.loads(header)["columns"]
        self._prepare(self.mapping(path), names, path)
        self.see(path, dict.fromkeys(names, ""))
        source = csv_records.CsvSource(reader, self.scratch)
        digest = self._stream(file_no, source)
        if not source.records.is_empty:
            self.connection.register("records", source.records.reader())
            self._insert(f"select {file_no} as file_no, line, 0 as part, l from records")
            self.connection.unregister("records")
        source.records.close()
        return digest

    def again(self, lines: str) -> None:
        """Put lines back into the stage, each kind with its own header."""
        headers = self.connection.execute(
            f"select distinct f.header from ({lines}) as l inner join files as f on l.file_no = f.file_no"
        ).fetchall()
        for (header,) in headers:
            about = json.loads(header)
            self._prepare(self.mapping(Path(about["file"])), about["columns"], Path(about["file"]))
            self._insert(
                f"select l.* from ({lines}) as l inner join files as f on l.file_no = f.file_no"
                f" where f.header = {engine.literal(header)}"
            )

    def _prepare(self, mapping: Mapping, names: list[str], path: Path) -> None:
        self.check_columns(mapping, names, path)
        self._turn_to(mapping, names)
        self._mapping, self._names = mapping, names

    def _insert(self, lines: str) -> None:
        names = self._names
        d = engine.literal(self.contract.delimiter)
        field = r'"(?:[^"]|"")*"|[^"' + _in_class(self.contract.delimiter) + "]*"
        sep = _in_class(self.contract.delimiter)
        relation = (
            f"select *, case when contains(l, chr(0)) then 'nul_character' when f is null then 'bad_quotes'"
            f" when f = {_list(names)} then 'header_repeated' when len(f) <> {len(names)} then 'row_width' end as"
            " unread"
            f" from (select *, case when not contains(l, '\"') then string_split(l, {d})"
            f" when regexp_full_match(l, {engine.literal(f'(?:{field})(?:[{sep}](?:{field}))*')})"
            f" then list_transform(regexp_extract_all(l, {engine.literal(f'(?:^|[{sep}])({field})')}, 1),"
            " lambda x: case when starts_with(x, '\"') then replace(substr(x, 2, len(x) - 2), '\"\"', '\"') else x end)"
            f" end as f from ({lines}) where l <> '')"
        )
        place = {name: f"nullif(f[{number}], '')" for number, name in enumerate(names, 1)}
        made = Expressions(self._mapping, lambda name: place[name], lambda name: f"to_json({place[name]})")
        everything = made.object(self.others(self._mapping, names), "", keep_nulls=False)
        extra = {"raw": "l", **SPLIT_RAW, "unread": f"coalesce(unread, {made.fault()})"}
        self.stage(made.found(relation, extra, everything, None, keep_nulls=False))

    def judge(self) -> None:
        """Leave things as they are: the rows of a CSV were judged whole while they were read."""

    def _meet(self, lines: list[str]) -> None:
        """Leave things as they are: a row has no shape."""

    def _look_back(self, sample: list[str]) -> None:
        """Leave things as they are: a row has no shape."""


class JsonlStage(MappedStage):
    """JSONL: one object a line, by the same strict rules as Segment calls; keys are columns."""

    extra_columns: tuple[str, ...] = ()
    """Keys that are read and that no mapping need name."""

    def header(self, path: Path) -> str | None:
        """Return the file's name, which chooses the mapping, as JSON."""
        return json.dumps({"file": path.name})

    def read(self, file_no: int, path: Path) -> str:
        """Put every line into the stage and return the file's SHA-256."""
        mapping = self.mapping(path)
        self._turn_to(mapping)
        self._mapping = mapping
        self.see(path, kinds(path))
        return super().read(file_no, path)

    @property
    def needed(self) -> dict[str, list[str]] | None:
        """Return the columns that the mappings name: rows need not have any other one."""
        mappings = dict(self.contract.tables)
        if self.contract.mapping is not None:
            mappings[""] = self.contract.mapping
        return {name: mapping.columns() for name, mapping in mappings.items()}

    def columns(self) -> dict[str, dict[str, str]]:
        """Return the keys that the lines have; with one mapping also those that no first line has."""
        if len(self.seen) == 1:
            (seen,) = self.seen.values()
            for key in sorted(self._keys() - set(seen)):
                seen[key] = ""
        return self.seen

    def again(self, lines: str) -> None:
        """Put lines back into the stage, each by the mapping of its file."""
        self.learned.parameters = {**SPEC, "paths": "['$']"}
        headers = self.connection.execute(
            f"select distinct f.header from ({lines}) as l inner join files as f on l.file_no = f.file_no"
        ).fetchall()
        for (header,) in headers:
            self._mapping = self.mapping(Path(json.loads(header)["file"]))
            self._insert(
                f"select l.* from ({lines}) as l inner join files as f on l.file_no = f.file_no"
                f" where f.header = {engine.literal(header)}"
            )
        self.learn("select * from stage")

    def _found(self, lines: str) -> str:
        names = [*self._mapping.columns(), *self.extra_columns] or [""]
        spec = json.dumps(dict.fromkeys(names, "JSON"))
        relation = (
            "select r.*, shapes.shape is null as is_shape_new, r.n_found > coalesce(shapes.n_objects, 0) as"
            " is_uncovered"
            " from (select *, hash(case when s is not null then json_keys(l, {paths}) end) as shape,"
            " n_objects(body) as n_found from (select *, try(json(l))::varchar as body, try(json_keys(l)) as named,"
            f" try(from_json(l, {engine.literal(spec)})) as s from ({lines}) where l <> '')) as r"
            " left join shapes on r.shape = shapes.shape"
        ).replace("{paths}", self.learned.parameters["paths"])

        def text(name: str) -> str:
            return f"nullif(s.{engine.identifier(name)} ->> '$', '')"

        def body(name: str) -> str:
            value, is_null = f"s.{engine.identifier(name)}", f"list_contains(named, {engine.literal(name)})"
            return f"case when {value} is null and {is_null} then 'null'::json else {value} end"

        made = Expressions(self._mapping, text, body)
        top = [column for column in self._mapping.ids() if not column.keys]
        ids = " or ".join(f"maybe_not_text({text(column.name)})" for column in top) or "false"
        extra = {
            "raw": "l",
            "is_odd": "s is null or body is null or not starts_with(body, '{') or maybe_unsound(body)"
            f" or case when l = body then false else maybe_changed(l, body) end or {ids}",
            "is_verbatim": "false",
            "shape": "shape",
            "is_shape_new": "is_shape_new",
            "is_uncovered": "is_uncovered",
            "n_found": "n_found",
            "unread": f"case when s is null or not starts_with(body, '{{') then 'not_json' else {made.fault()} end",
            **{f"key_{n}": text(name) for n, name in enumerate(self.extra_columns)},
        }
        used = engine.literal(json.dumps(dict.fromkeys(self._mapping.used() or [""])))
        return made.found(relation, extra, f"try(json_merge_patch(l, {used}))::varchar", None, keep_nulls=True)

    def _verdict(self, file_no: int, raw: bytes, batches: bool) -> exact.Verdict:
        if file_no not in self._ids:
            (header,) = engine.row(self.connection, "select header from files where file_no = $n", {"n": file_no})
            ids = self.mapping(Path(json.loads(header)["file"])).ids()
            self._ids[file_no] = tuple(column.name for column in ids if not column.keys)
        return exact.judge(raw, ids=self._ids[file_no], batches=False)


class TableStage(JsonlStage):
    """Rows of a table as JSON. Rows that say the same under two keys are two events."""

    def __init__(self, settings: Settings, contract: Contract) -> None:
        super().__init__(settings, contract)
        assert contract.origin is not None
        self.extra_columns = contract.origin.key

    def columns(self) -> dict[str, dict[str, str]]:
        """Return none: the table itself says which it has, and the mark keeps them."""
        return {}

    @property
    def told_apart_by(self) -> str:
        """Return the SQL of what is content of a row beside what its call says."""
        return "".join(f"coalesce(key_{n}, chr(30)), " for n in range(len(self.extra_columns)))


def _split(columns: list[str]) -> str:
    """Return what to say of a header that looks like several columns, and was read as one."""
    found = next((text for mark, text in _DELIMITERS.items() if len(columns) == 1 and mark in columns[0]), None)
    return f" The header was read as one column: should the contract say `delimiter: {found}`?" if found else ""


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) + ":"


def _in_class(delimiter: str) -> str:
    return "\\" + delimiter if delimiter in "\\]^-|" else delimiter


def _list(names: list[str]) -> str:
    return "[" + ", ".join(engine.literal(name) for name in names) + "]"
