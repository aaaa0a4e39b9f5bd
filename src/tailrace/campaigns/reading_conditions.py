"""How is a condition read? `in`, `event`, `where`, `response`, `all`, `any`, `not`, to the facts of a definition."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tailrace.campaigns import words
from tailrace.campaigns.conditions import ODD_NAME, Compiled, ConditionError, Source, compile_where, is_field_name
from tailrace.campaigns.definition import Reference
from tailrace.campaigns.document import Node, Table
from tailrace.campaigns.steps import Condition, seconds
from tailrace.campaigns.triggers import Trigger, brings_event, in_words
from tailrace.errors import Problem, nearest


@dataclass(frozen=True)
class Place:
    """What a condition may speak of where it stands.

    `references` is added to. `trigger` is what starts people, None if it is wrong. `webhooks` are the steps that may
    have answered by then, None where nobody has entered yet: there are no answers then, and an event needs a duration.
    """

    references: list[Reference]
    trigger: Trigger | None
    webhooks: Collection[str] | None = ()


def read_condition(node: Node, place: Place, besides: Iterable[str] = (), depth: int = 0) -> Condition | None:
    """Return the facts of the condition, or None having reported what is wrong. `besides` are keys of another's."""
    if depth > words.DEEPEST:
        node.wrong(f"the condition is nested too deeply; expected at most {words.DEEPEST} levels")
        return None
    others = tuple(besides)
    keys = dict.fromkeys(key for kind, more in words.CONDITIONS.items() for key in (kind, *more))
    table = node.table((*keys, *others))
    kind = the_kind(table, words.CONDITIONS, others, before=("event", "response")) if table else None
    if table is None or kind is None:
        return None
    value = table.nodes[kind]
    if kind in ("all", "any", "not"):
        return _combined(kind, value, place, depth)
    if kind == "event":
        return _event(table, value, place)
    if kind == "response":
        return _response(table, value, place)
    return _member(value, place) if kind == "in" else _person(value, place)


def the_kind(
    table: Table, kinds: Mapping[str, tuple[str, ...]], besides: Collection[str] = (), before: Collection[str] = ()
) -> str | None:
    """Return the one key of `table` that says its kind, or None having reported what is wrong.

    A kind in `before` may have another kind's key among its own. A key that does not go with the kind is reported.
    """
    found = [kind for kind in kinds if kind in table.nodes]
    first = [kind for kind in found if kind in before]
    if len(first) == 1:
        found = first
    if len(found) != 1:
        known = {key for kind, more in kinds.items() for key in (kind, *more)} | set(besides)
        if found or table.written <= known:
            options = ", ".join(f"`{kind}`" for kind in kinds)
            said = " and ".join(f"`{kind}`" for kind in found) or "none of them"
            table.node.wrong(f"`{table.node.name}` has {said}; expected exactly one of {options}")
        return None
    allowed = (found[0], *kinds[found[0]], *besides)
    for name, other in table.nodes.items():
        if name not in allowed:
            other.wrong(f"`{name}` does not go with `{found[0]}`; remove it")
    return found[0]


def segment_name(node: Node, references: list[Reference]) -> str | None:
    """Return the name of a segment, which the references then hold."""
    name = node.text("the name of a segment, such as `seg_trial_ending`")
    if name is None:
        return None
    if not words.SEGMENT.fullmatch(name):
        node.wrong(f"`{node.name}: {name}` is not a segment; expected a model in `models/segments/`, named `seg_…`")
        return None
    references.append(Reference("segment", name, node.line))
    return name


def event_name(node: Node, references: list[Reference]) -> str | None:
    """Return the name of an event, which the references then hold."""
    name = node.text("the name of an event, such as `signed_up`")
    if name is not None:
        references.append(Reference("event", name, node.line))
    return name


def property_name(node: Node) -> str | None:
    """Return the name of an event's property."""
    name = node.text("the name of a property, such as `cart_id`")
    if name is not None and not is_field_name(name):
        node.wrong(f"`{node.name}`: a property's name {ODD_NAME}; expected one such as `cart_id`")
        return None
    return name


def read_same(node: Node | None, trigger: Trigger | None) -> list[str] | None:
    """Return the properties that `same` names, sorted: [] when it is absent, None having reported what is wrong."""
    if node is None:
        return []
    if trigger is not None and not brings_event(trigger):
        what = "`same` compares with the event that started the person, but no event starts people here"
        expected = "expected a trigger `event`, `form`, `object` with `event` or `broadcast: command`"
        node.wrong(f"{what} ({in_words(trigger)}); {expected}: remove `same`")
        return None
    rows = [node] if node.scalar() is not None else node.rows() or []
    names = [property_name(row) for row in rows]
    found = [name for name in names if name is not None]
    for row, name in zip(rows, names, strict=True):
        if name is not None and found.count(name) > 1:
            row.wrong(f"`{row.name}` names `{name}` twice; remove one")
            return None
    return sorted(found) if rows and len(found) == len(names) else None


def same_facts(same: list[str]) -> dict[str, list[str]]:
    """Return the facts of a `same`; none without one, so that what is written without it keeps its version."""
    return {"same": same} if same else {}


def read_where(node: Node | None, source: Source = "properties") -> tuple[str, Compiled] | None:
    """Return a `where` as it is written and what it means; None when it is absent or, having reported it, wrong."""
    written = node.text("a condition such as `plan = 'pro'`") if node else None
    if node is None or written is None:
        return None
    try:
        return written, compile_where(written, source=source)
    except ConditionError as error:
        node.problems.append(Problem(node.path, node.text_line + error.line - 1, f"`{node.name}`: {error}"))
        return None


def where_facts(where: tuple[str, Compiled] | None) -> dict[str, str | None]:
    """Return the facts of a `where`, or of none."""
    return {"where": where[0] if where else None, "where_sql": where[1].sql if where else None}


def _combined(kind: str, node: Node, place: Place, depth: int) -> Condition | None:
    if kind == "not":
        inner = read_condition(node, place, depth=depth + 1)
        return None if inner is None else {kind: inner}
    rows = node.rows() or []
    for row in rows:
        row.name = f"a condition of `{kind}`"
    read = [read_condition(row, place, depth=depth + 1) for row in rows]
    return {kind: read} if rows and all(part is not None for part in read) else None


def _member(node: Node, place: Place) -> Condition | None:
    segment = segment_name(node, place.references)
    return None if segment is None else {"in": segment}


def _person(node: Node, place: Place) -> Condition | None:
    where = read_where(node, "customer")
    if where is None:
        return None
    for name, line in where[1].lines.items():
        place.references.append(Reference("column", name, node.text_line + line - 1))
    return {**where_facts(where), "columns": list(where[1].fields)}


def _event(table: Table, node: Node, place: Place) -> Condition | None:
    name, written = event_name(node, place.references), table.get("since")
    where, same = read_where(table.get("where")), read_same(table.get("same"), place.trigger)
    since: Any = "entry"
    if written is not None and written.scalar() != "entry":
        length = written.duration()
        since = None if length is None else seconds(length)
    elif place.webhooks is None:
        expected = "a duration such as `since: 30d`: a filter is asked before the person enters"
        (written or table.node).wrong(f"`event` needs another `since` here; expected {expected}")
        return None
    if name is None or since is None or same is None:
        return None
    return {"event": name, **where_facts(where), **same_facts(same), "since": since}


def _response(table: Table, node: Node, place: Place) -> Condition | None:
    step, status = node.text("the id of a webhook step"), table.get("status")
    where = read_where(table.get("where"), "body")
    code = status.scalar() if status else None
    if status is not None and (code is None or not words.STATUS.fullmatch(code)):
        status.wrong(f"`status` is {status.kind()}; expected a class such as `2xx` or a code such as `404`")
        return None
    if place.webhooks is None:
        node.wrong("`response` cannot stand in a filter: nobody has been called before the person enters; remove it")
        return None
    if step is None:
        return None
    if step not in place.webhooks:
        hint = nearest(step, place.webhooks)
        node.wrong(f"no webhook step `{step}` comes before this; expected the id of one that does.{hint}")
        return None
    return {"response": step, "status": code, **where_facts(where)}
