"""Which events break their contract, and which rule of it? In SQL over the staged events, whatever their number.

An event whose contract says `quarantine` is refused while it is staged, as it is for any other reason; one whose
contract says `warn` lands and is counted. What broke is said by the property's name and what was expected of it,
never by its value: that may be a person's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tailrace import engine
from tailrace.landing.properties import Property
from tailrace.landing.taxonomy import EventContract

REASON = "contract_broken"
_PACKAGE = "tailrace.landing"
_IS = {
    "string": "starts_with({x}, '\"')",
    "number": "({x} >= '-' and {x} < ':')",
    "integer": "({x} >= '-' and {x} < ':' and not regexp_matches({x}, '[.eE]'))",
    "boolean": "({x} in ('true', 'false'))",
    "timestamp": "(starts_with({x}, '\"') and is_moment(told({x})))",
    "date": "(starts_with({x}, '\"') and is_day(told({x})))",
    "array": "starts_with({x}, '[')",
    "object": "starts_with({x}, '{{')",
}
"""By the first characters of a value as JSON writes it: a number in quotes is a text, whatever a cast makes of it."""
_WORDS = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "timestamp": "a time such as 2026-01-31T09:00:00Z",
    "date": "a date such as 2026-01-31",
    "array": "a list",
    "object": "an object",
}


@dataclass(frozen=True)
class Rule:
    """One thing that is asked of a property, in words."""

    event: str
    property: str
    words: str


@dataclass(frozen=True)
class Asked:
    """What some contracts ask, as SQL over the columns `type`, `event` and `properties`.

    `facts` are the values of an event's properties, in the contract's order; `codes`, over `facts`, the rules that are
    broken, with nulls among them; `is_broken` whether there is one.
    """

    events: tuple[str, ...] = ()
    facts: str = "null::json[]"
    codes: str = "null::integer[]"
    is_broken: str = "false"


class Breaches:
    """The contracts of one landing. `rules` are known by their place, from 1; `refusing` keeps events out."""

    def __init__(self, contracts: Iterable[EventContract]) -> None:
        self.rules: list[Rule] = []
        asked = [contract for contract in contracts if contract.properties]
        self.refusing = self._asked([contract for contract in asked if contract.on_breach == "quarantine"])
        self.warning = self._asked([contract for contract in asked if contract.on_breach != "quarantine"])

    def _asked(self, contracts: Sequence[EventContract]) -> Asked:
        if not contracts:
            return Asked()
        facts, codes, broken = [], [], []
        for contract in contracts:
            when = f"when {engine.literal(contract.event)}::contracted then"
            paths = ", ".join(engine.literal(_pointer(each.name)) for each in contract.properties)
            found = [self._code(contract.event, each, n) for n, each in enumerate(contract.properties, 1)]
            facts.append(f"{when} try(json_extract(properties, [{paths}]))")
            codes.append(f"{when} [{', '.join(found)}]")
            broken.append(f"{when} coalesce({', '.join(found)}) is not null")
        events = tuple(contract.event for contract in contracts)
        return Asked(events, _by_event(facts), _by_event(codes), f"coalesce({_by_event(broken)}, false)")

    def _code(self, event: str, asked: Property, place: int) -> str:
        """Return the SQL of the first rule that a property breaks, null when it breaks none; its rules are noted."""
        x = f"facts[{place}]::varchar"
        whens = []
        for condition, words in _rules(asked, x):
            self.rules.append(Rule(event, asked.name, words))
            whens.append(f"when {condition} then {len(self.rules)}")
        nothing = [] if asked.required else [f"when {_is_none(x)} then null::integer"]
        return f"case {' '.join([*nothing, *whens])} end"

    def define(self, connection: engine.Connection) -> None:
        """Make what the SQL stands on; nothing when no contract asks anything."""
        if not self.rules:
            return
        # Found by hash, so that a thousand contracts cost an event of none of them what one does.
        connection.execute(f"create type contracted as enum ({_listed(self.refusing.events + self.warning.events)})")
        connection.execute(engine.statement(_PACKAGE, "breaches"))
        connection.execute("create table broken (row_no bigint, code integer)")
        connection.execute(
            "create table rules as select generate_subscripts($words, 1) as code, unnest($events) as event,"
            " unnest($properties) as property, unnest($words) as words",
            {
                "events": [rule.event for rule in self.rules],
                "properties": [rule.property for rule in self.rules],
                "words": [rule.words for rule in self.rules],
            },
        )

    def explain(self, connection: engine.Connection) -> None:
        """Write what was broken beside each row that was refused for it, once every odd row has its verdict."""
        if self.refusing.events:
            connection.execute(_filled("broken", self.refusing))
            connection.execute("delete from verdicts where row_no in (select row_no from broken)")
            connection.execute(engine.statement(_PACKAGE, "broken_verdicts"))

    def refused(self, connection: engine.Connection) -> list[tuple[Rule, int]]:
        """Return how many rows each rule has kept out."""
        if not self.refusing.events:
            return []
        return self._counted(connection, "select code, count(*) from broken group by code order by code")

    def kept_out(self, connection: engine.Connection) -> dict[str, int]:
        """Return how many rows the contract of each event has kept out."""
        if not self.refusing.events:
            return {}
        query = (
            "select event, count(distinct row_no) from broken inner join rules using (code) group by event order by 1"
        )
        return dict(connection.execute(query).fetchall())

    def warned(self, connection: engine.Connection) -> list[tuple[Rule, int]]:
        """Return how many of the rows that land break each rule."""
        return self._counted(connection, _filled("warned", self.warning)) if self.warning.events else []

    def _counted(self, connection: engine.Connection, query: str) -> list[tuple[Rule, int]]:
        return [(self.rules[code - 1], n_events) for code, n_events in connection.execute(query).fetchall()]


def _filled(name: str, asked: Asked) -> str:
    text = engine.statement(_PACKAGE, name)
    for key, value in (("events", _listed(asked.events)), ("facts", asked.facts), ("codes", asked.codes)):
        text = text.replace(f"{{{key}}}", value)
    return text


def _rules(asked: Property, x: str) -> Iterator[tuple[str, str]]:
    """Yield when the value `x` of a property breaks each of its rules, and the rule in words; the first one counts."""
    if asked.required:
        yield _is_none(x), "is missing"
    yield f"not {_IS[asked.type].format(x=x)}", f"is not {_WORDS[asked.type]}"
    if asked.enum and asked.type == "string":
        yield f"told({x}) not in ({_listed(asked.enum)})", f"is none of {', '.join(asked.enum)}"
    elif asked.enum:
        same = " or ".join(_compared(x, "=", value) for value in asked.enum)
        yield f"not ({same})", f"is none of {', '.join(asked.enum)}"
    if asked.pattern is not None:
        yield f"not regexp_full_match(told({x}), {engine.literal(asked.pattern)})", f"does not fit {asked.pattern}"
    for bound, sign, words in ((asked.minimum, "<", "less"), (asked.maximum, ">", "more")):
        if bound is not None:
            yield _compared(x, sign, f"{bound:f}"), f"is {words} than {bound:f}"


def _is_none(x: str) -> str:
    return f"{x} is null or {x} = 'null'"


def _compared(x: str, sign: str, bound: str) -> str:
    """Return the SQL that compares two numbers; whole ones digit by digit, for a float has only so many."""
    rough = f"{x}::double {sign} {bound}::double"
    if "." in bound:
        return rough
    exact = f"try_cast({x} as hugeint) {sign} try_cast({engine.literal(bound)} as hugeint)"
    return f"case when regexp_matches({x}, '[.eE]') then {rough} else coalesce({exact}, {rough}) end"


def _by_event(whens: Sequence[str]) -> str:
    return f"case when type = 'track' then case try_cast(event as contracted) {' '.join(whens)} end end"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(engine.literal, texts))


def _pointer(name: str) -> str:
    """Return where a property stands, as a JSON pointer: it takes any name."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
