"""What does a source send, and how is it read? `contracts/sources/<source>.yml`, loaded strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ruamel.yaml.nodes import SequenceNode

from tailrace import clock
from tailrace.errors import DataError, DefinitionError, Problem, TailraceError, nearest
from tailrace.landing import origin
from tailrace.landing.mapping import Mapping, read_mapping
from tailrace.landing.origin import Origin
from tailrace.landing.yaml_nodes import Node, document
from tailrace.settings import Settings

FORMATS = ("segment", "customerio_track", "csv", "jsonl", "parquet", "postgres")
_UNMAPPED = ("segment", "customerio_track")
TIMESTAMP_FORMATS = ("iso", "epoch_s", "epoch_ms", "epoch_us")
_TOP = (
    "format",
    "timestamps",
    "mapping",
    "tables",
    "delimiter",
    "objects",
    "owner",
    "summary",
    "owns",
    "expect_every",
    *origin.KEYS,
)
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Timestamps:
    """How the source writes times. A time outside [since, until) is not plausible and is quarantined."""

    format: str = "iso"
    zone: str = "UTC"
    since: datetime = datetime(1950, 1, 1, tzinfo=UTC)
    until: datetime = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Owned:
    """The name of something that a source owns, and the line that says so."""

    name: str
    line: int


@dataclass(frozen=True)
class Owner:
    """Which source owns something, and where its contract says so."""

    source: str
    path: str
    line: int


@dataclass(frozen=True)
class Contract:
    """One source: what its files are and what one row means. `expect_every` is the longest silence that is normal.

    Of an attribute that it owns, no other source's word is taken (`attribute_owners`).
    """

    source: str
    path: str
    format: str
    timestamps: Timestamps
    mapping: Mapping | None
    tables: tuple[tuple[str, Mapping], ...]
    delimiter: str
    owner: str | None
    expect_every: timedelta | None
    objects: tuple[tuple[str, str], ...] = ()
    origin: Origin | None = None
    owned_attributes: tuple[Owned, ...] = ()
    owned_events: tuple[Owned, ...] = ()

    def glob_for(self, file_name: str) -> str:
        """Return the glob of `tables` that fits a file's base name first; '' when the one mapping is meant."""
        return next((glob for glob, _ in self.tables if fnmatchcase(file_name, glob)), "")

    def mapping_for(self, file_name: str) -> Mapping | None:
        """Return the mapping for a file by its base name: the first glob of `tables` that fits, else `mapping`.

        Raises DataError when the format needs one and none fits.
        """
        if self.format in _UNMAPPED:
            return None
        for glob, mapping in self.tables:
            if fnmatchcase(file_name, glob):
                return mapping
        if self.mapping is None:
            globs = ", ".join(f"`{glob}`" for glob, _ in self.tables)
            raise DataError(
                f"{file_name}: no mapping of source {self.source} fits this file name; expected one of {globs}: add it"
                f" to `tables` in {self.path}, or rename the file. Nothing of this call was landed."
            )
        return self.mapping


def contract_path(settings: Settings, source: str) -> Path:
    """Return where the contract of a source stands."""
    return settings.project_dir / "contracts" / "sources" / f"{source}.yml"


def sources(settings: Settings) -> list[str]:
    """Return the names of all sources that have a contract."""
    return sorted(path.stem for path in contract_path(settings, "*").parent.glob("*.yml"))


def load_contract(settings: Settings, source: str) -> Contract:
    """Return the contract of `source`.

    Raises DefinitionError with every problem and its line; also when there is no such file.
    """
    path = contract_path(settings, source)
    if _SOURCE.fullmatch(source) is None:
        raise DefinitionError(
            Problem(str(path), None, f"`{source}` is not a source name; expected lower-case letters, digits and `_`")
        )
    if not path.is_file():
        known = sources(settings)
        raise DefinitionError(
            Problem(
                str(path),
                None,
                f"there is no contract for source `{source}`; expected this file, such as `format: segment`:"
                f" write it.{nearest(source, known)}",
            )
        )
    problems: list[Problem] = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(Problem(str(path), None, "this is not UTF-8; expected UTF-8")) from error
    root = document(str(path), text, problems)
    contract = _contract(root, source, str(path)) if root is not None else None
    if problems or contract is None:
        raise DefinitionError(problems)
    return contract


def attribute_owners(settings: Settings) -> dict[str, Owner]:
    """Return who owns each attribute of a person, of those that a source owns.

    Raises DefinitionError when two sources own one, naming both places, or when a contract is wrong.
    """
    owners: dict[str, Owner] = {}
    problems: list[Problem] = []
    for source in sources(settings):
        try:
            contract = load_contract(settings, source)
        except DefinitionError as error:
            problems += error.problems
            continue
        for owned in contract.owned_attributes:
            first = owners.setdefault(owned.name, Owner(source, contract.path, owned.line))
            if first.source != source:
                problems.append(
                    Problem(
                        contract.path,
                        owned.line,
                        f"`{owned.name}` is owned by `{first.source}`, too ({first.path}:{first.line}); expected one"
                        " owner: remove it from the other's `owns`",
                    )
                )
    if problems:
        raise DefinitionError(problems)
    return owners


def _contract(root: Node, source: str, path: str) -> Contract | None:
    table = root.table(_TOP)
    if table is None:
        return None
    node = table.get("format")
    if node is None:
        root.wrong(f"`format` is missing; expected one of {', '.join(FORMATS)}")
    chosen = node.choice(FORMATS) if node else None
    times = table.get("timestamps")
    timestamps = _timestamps(times, chosen) if times else Timestamps()
    node = table.get("mapping")
    mapping = read_mapping(node) if node else None
    tables = _tables(table.get("tables"))
    if chosen in _UNMAPPED:
        for key in ("mapping", "tables"):
            if (extra := table.get(key)) is not None:
                extra.wrong(f"`{key}` does not go with `format: {chosen}`, which needs none; remove it")
    elif chosen == "postgres" and (extra := table.get("tables")) is not None:
        extra.wrong("`tables` does not go with `format: postgres`, which is one table; expected `mapping`")
    elif chosen is not None and node is None and table.get("tables") is None:
        root.wrong(f"`mapping` is missing; expected it (or `tables`) with `format: {chosen}`")
    node = table.get("delimiter")
    # As it is written: a tab is blank, and is one.
    delimiter = node.scalar() if node else ","
    if node and (delimiter is None or len(delimiter.encode()) != 1 or delimiter in '"\r\n'):
        node.wrong('`delimiter` is not one ASCII character; expected one such as `";"` or `"\\t"`')
    if node and chosen not in (None, "csv"):
        node.wrong("`delimiter` goes with `format: csv` only; remove it")
    owner, every = table.get("owner"), table.get("expect_every")
    attributes, events = _owns(table.get("owns"))
    return Contract(
        source=source,
        path=path,
        format=chosen or "",
        timestamps=timestamps,
        mapping=mapping,
        tables=tables,
        delimiter=delimiter or ",",
        owner=owner.text() if owner else None,
        expect_every=every.duration() if every else None,
        origin=origin.read_origin(root, table, chosen),
        objects=_objects(table.get("objects"), chosen),
        owned_attributes=attributes,
        owned_events=events,
    )


def _objects(node: Node | None, chosen: str | None) -> tuple[tuple[str, str], ...]:
    """Return the names of Customer.io's types of objects, by their number as text."""
    if node is None:
        return ()
    if chosen not in (None, "customerio_track"):
        node.wrong("`objects` goes with `format: customerio_track` only; remove it")
    names = ((kind, inner.text("the name of a type of objects")) for kind, inner in node.free().items())
    return tuple((kind, name) for kind, name in names if name is not None)


def _owns(node: Node | None) -> tuple[tuple[Owned, ...], tuple[Owned, ...]]:
    table = node.table(("attributes", "events")) if node else None
    if table is None:
        return (), ()
    return _names(table.get("attributes")), _names(table.get("events"))


def _names(node: Node | None) -> tuple[Owned, ...]:
    if node is None:
        return ()
    if not isinstance(node.raw, SequenceNode):
        node.wrong(f"`{node.name}` is {node.kind()}; expected a list of names such as `[email, plan]`")
        return ()
    found: dict[str, Owned] = {}
    for raw in node.raw.value:
        row = Node(node.path, raw, node.problems, f"a name of `{node.name}`")
        name = row.text("the name of an attribute or event")
        if name is not None and name in found:
            row.wrong(f"`{name}` stands here twice; expected it once: remove one")
        elif name is not None:
            found[name] = Owned(name, row.line)
    return tuple(found.values())


def _timestamps(node: Node, chosen: str | None) -> Timestamps:
    table = node.table(("format", "zone", "from", "to"))
    if table is None:
        return Timestamps()
    plain = Timestamps()
    form, zone = table.get("format"), table.get("zone")
    if form is not None and chosen == "customerio_track":
        form.wrong("`format` does not go with `format: customerio_track`, whose times are `epoch_s`; remove it")
    zone_name = (zone.text() or "UTC") if zone else plain.zone
    try:
        ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        assert zone is not None
        zone.wrong(f"`zone` is `{zone_name}`; expected a name of the time-zone database such as `Europe/Berlin`")
    since, until = (_moment(table.get(key), default) for key, default in (("from", plain.since), ("to", plain.until)))
    if since >= until:
        node.wrong("`from` is not before `to`; expected the window in which a time is plausible")
    return Timestamps((form.choice(TIMESTAMP_FORMATS) or "iso") if form else "iso", zone_name, since, until)


def _moment(node: Node | None, default: datetime) -> datetime:
    if node is None:
        return default
    try:
        return clock.parse(node.scalar() or "")
    except TailraceError:
        node.wrong(f"`{node.name}` is {node.kind()}; expected a date such as `2020-01-01`")
        return default


def _tables(node: Node | None) -> tuple[tuple[str, Mapping], ...]:
    found = []
    for glob, inner in node.free().items() if node else ():
        mapping = read_mapping(inner)
        if mapping is not None:
            found.append((glob, mapping))
    return tuple(found)
