"""What does each message need to say, as it is at `as_of`, and who lacks it?

Fills the table `prepared`, one row per message candidate: its address, its data as JSON text, and the first required
field that the person lacks. Fields of the customer come from dim_people and dim_person_features, of the segment
from the segment's table, of the event (or `trigger`) from what triggered the enrollment, of the object that did from
dim_objects, of all the person's objects from there and fct_object_people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import NamedTuple

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import identifier, literal
from tailrace.planning.run import MessageSpec, Need, Path

USABLE_ADDRESS = r"^[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+\.[^@\s<>,;:\"()\[\]\\.]+$"
"""The shape without which no destination takes an address; what is finer is the destination's to refuse."""

ROOTS = ("customer", "event", "trigger", "segment", "object")
"""What a payload's data always has, an object each; `trigger` is another word for `event`."""

MOST_OBJECTS = 200
"""How many of a person's objects of a kind a template sees: as many as its loops go over."""

_PACKAGE = "tailrace.planning"

PEOPLE = "wh.core.dim_people"
FEATURES = "wh.core.dim_person_features"

_OBJECTS = (
    "left join wh.core.dim_objects as objects"
    " on objects.object = candidates.object and objects.object_id = candidates.object_id"
)
ADDRESS_COLUMNS = {
    "email": ("email",),
    "sms": ("phone",),
    "whatsapp": ("phone",),
    "push": ("push_token", "user_id"),
}
"""Where people's address on a channel may stand, the first that is known; channels without one are not here."""
_ADDRESSES = {column for columns in ADDRESS_COLUMNS.values() for column in columns}
_JSON = {
    "event": "candidates.event",
    "trigger": "candidates.event",
    "object": "objects.attributes",
    "objects": "owned.objects",
}
_RELATIONSHIP = (
    " left join wh.core.fct_object_people as belongs on belongs.object = candidates.object"
    " and belongs.object_id = candidates.object_id and belongs.person_id = candidates.person_id"
)


def prepare(
    connection: duckdb.DuckDBPyConnection,
    messages: Mapping[tuple[str, str], MessageSpec],
    segment_relations: Mapping[str, str],
) -> None:
    """Make `prepared` (intent_id, address, message_key, data, missing) for the candidates that carry a message.

    `messages` maps (campaign, message) to its spec; `segment_relations` a segment to its table in `wh`.
    """
    connection.execute(
        "create or replace temp table prepared (intent_id varchar, address varchar, message_key varchar,"
        " data varchar, missing varchar)"
    )
    fields_of = {key: spec.required | spec.optional for key, spec in messages.items()}
    asked = {name for fields in fields_of.values() for root, name in fields if root == "customer"} | _ADDRESSES
    # Each message joins these: a left join hashes its right side, which would be everybody every time.
    for table, whole in (("asked_people", PEOPLE), ("asked_features", FEATURES)):
        columns = [identifier(name) for name in engine.columns(connection, whole) if name in asked | {"person_id"}]
        connection.execute(
            f"create or replace temp table {table} as select {', '.join(columns)} from {whole}"
            " where person_id in (select person_id from candidates where message is not null)"
        )
    customer = _customer_columns(connection)
    if any(root == "objects" for fields in fields_of.values() for root, _ in fields):
        query = engine.statement(_PACKAGE, "owned")
        connection.execute(f"create or replace temp table owned as {query}", {"most": MOST_OBJECTS})
    triggered = connection.execute(
        "select distinct campaign, message, coalesce(trigger_segment, ''), coalesce(object, '') from candidates"
        " where message is not null"
    ).fetchall()
    alike: dict[_Select, list[dict[str, str]]] = {}
    for campaign, message, segment, object_type in sorted(triggered):
        spec = messages[campaign, message]
        relation = segment_relations.get(segment)
        of_segment = frozenset(engine.columns(connection, f"wh.{relation}")) if relation else frozenset()
        fields = _Fields(customer, of_segment)
        needed = fields_of[campaign, message]
        select = _Select(
            address=_address(spec, customer),
            document=fields.document(needed),
            missing=first_missing(sorted(spec.required), sorted(spec.needs), fields.sql),
            members=f"left join wh.{relation} as members on members.person_id = candidates.person_id"
            if relation
            else "",
            objects=_objects(needed, is_started_by_one=bool(object_type)),
        )
        named = {"campaign": campaign, "message": message, "segment": segment, "object": object_type}
        alike.setdefault(select, []).append(named | {"message_key": spec.message_key})
    for select, same in alike.items():
        connection.register("asked_messages", pa.Table.from_pylist(same))
        connection.execute(select.statement())
        connection.unregister("asked_messages")


class _Select(NamedTuple):
    """What messages that say the same of the same fields have in common: SQL, whatever their campaign."""

    address: str
    document: str
    missing: str
    members: str
    objects: str

    def statement(self) -> str:
        """Return the statement that adds the candidates of the messages in `asked_messages` to `prepared`."""
        return f"""
            insert into prepared
            select
                candidates.intent_id,
                {self.address},
                asked.message_key,
                {self.document},
                {self.missing}
            from candidates
            inner join asked_messages as asked
                on asked.campaign = candidates.campaign and asked.message = candidates.message
                and asked.segment = coalesce(candidates.trigger_segment, '')
                and asked.object = coalesce(candidates.object, '')
            left join asked_people as people on people.person_id = candidates.person_id
            left join asked_features as features on features.person_id = candidates.person_id
            {self.members}
            {self.objects}
            """


def _objects(fields: Collection[tuple[str, str]], *, is_started_by_one: bool) -> str:
    """Return the joins that the fields of objects take: `objects`, `belongs` and `owned`, as far as they are asked."""
    roots = {root for root, _ in fields}
    joins = (
        _OBJECTS
        if is_started_by_one and "object" in roots
        else "cross join (select null::varchar as attributes) as objects"
    )
    if ("object", "relationship") in fields:
        joins += _RELATIONSHIP if is_started_by_one else " cross join (select null::varchar as attributes) as belongs"
    if "objects" in roots:
        joins += " left join owned on owned.person_id = candidates.person_id"
    return joins


def address_column(channel: str, known: Container[str]) -> str:
    """Return the column of people in which their address on the channel stands: of several, the first that is known.

    A text message and WhatsApp go to `phone`, a push message to `push_token`, or without such a column to `user_id`.
    """
    columns = ADDRESS_COLUMNS.get(channel, ADDRESS_COLUMNS["email"])
    return next((column for column in columns if column in known), columns[0])


def _address(spec: MessageSpec, customer: Mapping[str, str]) -> str:
    """Return SQL for where a message goes: what its file names as `to`, else the person's address on its channel.

    Slack posts where its connection does.
    """
    to = json.loads(spec.source).get("to")
    if to is not None or spec.channel == "slack":
        return literal(to or "")
    column = address_column(spec.channel, customer)
    if column not in customer:
        return "null::varchar"
    text = f"trim({customer[column]}.{identifier(column)}::varchar)"
    shape = USABLE_ADDRESS if column == "email" else r"^\S.*$"
    return f"case when regexp_full_match({text}, {literal(shape)}) then {text} end"


class _Fields:
    """Where each field of a template stands."""

    def __init__(self, customer: Mapping[str, str], segment: frozenset[str]) -> None:
        self._customer = customer
        self._segment = segment

    def sql(self, root: str, name: str) -> str:
        if root == "customer" and name in self._customer:
            return f"to_json({self._customer[name]}.{identifier(name)})"
        if root == "segment" and name in self._segment:
            return f"to_json(members.{identifier(name)})"
        if (root, name) == ("object", "relationship"):
            return "nullif(belongs.attributes, '{}')::json"
        if (root, name) == ("object", "id"):
            return "to_json(candidates.object_id)"
        if root in _JSON:
            return f"json_extract({_JSON[root]}, {literal(chr(36) + '.' + chr(34) + name + chr(34))})"
        return "null::json"

    def document(self, fields: Iterable[tuple[str, str]]) -> str:
        """Return SQL for the payload: an object per root, a value per field; `objects` only where it is asked for."""
        roots: dict[str, list[str]] = {root: [] for root in ROOTS}
        for root, name in sorted(fields):
            roots.setdefault(root, []).append(f"{literal(name)}, {self.sql(root, name)}")
        objects = ", ".join(f"{literal(root)}, json_object({', '.join(pairs)})" for root, pairs in roots.items())
        return f"json_object({objects})::varchar"


def first_missing(fields: Iterable[tuple[str, str]], needs: Iterable[Need], sql: Callable[[str, str], str]) -> str:
    """Return SQL for what is null or blank first: a field, as `root.name`, else what must stand below one.

    `sql` gives the SQL of a field's JSON.
    """
    arms = [f"when {_is_blank(sql(root, name))} then {literal(f'{root}.{name}')}" for root, name in fields]
    for path, given in needs:
        is_asked = [_passes(_below(known, sql), test) for known, test in given]
        conditions = " and ".join([*is_asked, _is_blank(_below(path, sql))])
        arms.append(f"when {conditions} then {literal(dotted(path))}")
    return f"case {' '.join(arms)} end" if arms else "null"


def dotted(path: Path) -> str:
    """Return a path as authors write it: `event.items[0].name`."""
    return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path).removeprefix(".")


def _is_blank(value: str) -> str:
    return f"trim(coalesce({value} ->> '$', '')) = ''"


def _passes(value: str, test: str) -> str:
    """Return SQL for whether a JSON value passes a test of templates."""
    falsy = {"defined": "", "truthy": "'false'"}.get(test, "'false', '[]', '{}'")
    passes = [f"trim(coalesce({value} ->> '$', '')) <> ''"]
    passes += [f"{value}::varchar not in ({falsy})"] if falsy else []
    if test == "true":
        passes.append(
            f"not (json_type({value}) <> 'VARCHAR' and coalesce(try_cast({value} ->> '$' as double) = 0, false))"
        )
    return f"({' and '.join(passes)})"


def _below(path: Path, sql: Callable[[str, str], str]) -> str:
    """Return SQL for the JSON value that a path leads to, as templates go along it: by name, or into a list."""
    value = sql(path[0], path[1])
    for step in path[2:]:
        named = f"json_extract({value}, {literal(chr(36) + '.' + chr(34) + step + chr(34))})"
        at = step if step.isdigit() else {"first": "0", "last": "#-1"}.get(step)
        if at is not None:
            value = f"coalesce(json_extract({value}, {literal(f'$[{at}]')}), {named})"
        elif step == "size":
            value = (
                f"case json_type({value}) when 'ARRAY' then to_json(json_array_length({value}))"
                f" when 'VARCHAR' then to_json(length({value} ->> '$')) else {named} end"
            )
        else:
            value = named
    return value


def _customer_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return each customer column and the alias of the table that has it; dim_people goes first."""
    features = dict.fromkeys(engine.columns(connection, "wh.core.dim_person_features"), "features")
    return features | dict.fromkeys(engine.columns(connection, "wh.core.dim_people"), "people")
