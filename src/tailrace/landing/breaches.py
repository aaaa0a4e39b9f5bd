"""Which events break their contract, and which rule of it? In SQL over the staged events, whatever their number.

Once all lines are staged, the contracts of the events among them, and no others, become one statement. An event whose
contract says `quarantine` is then refused as it is for any other reason; one whose contract says `warn` lands and is
counted. What broke is said by the property's name and what was expected of it, never by its value: that may be a
person's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tailrace import engine
from tailrace.landing.properties import Property
from tailrace.landing.taxonomy import EventContract, active_events, names_about
from tailrace.settings import Settings

REASON = "contract_broken"
_PACKAGE = "tailrace.landing"
_PLACE = re.compile(r"\{(facts|codes|values|events)\}")
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
    """One thing that is asked of a property, in words, and whether an event that breaks it is kept out."""

    event: str
    property: str
    words: str
    refuses: bool


class Breaches:
    """What one landing's events break. `may_refuse` is SQL: whether the line of a row is needed to put it aside."""

    def __init__(self, settings: Settings, connection: engine.Connection) -> None:
        self._settings, self._connection = settings, connection
        self._rules: list[Rule] = []
        self.may_refuse = "false"
        refusing = names_about(settings, "properties", "quarantine")
        if refusing:
            # Found by hash, so that a thousand contracts cost an event of none of them what one does.
            connection.execute(f"create type refusing as enum ({_listed(refusing)})")
            self.may_refuse = "coalesce(type = 'track' and try_cast(event as refusing) is not null, false)"

    def judge(self) -> None:
        """Note which rows break what, and refuse those that are to be kept out; every odd row has its verdict by now.

        Raises DefinitionError when the contract of an event that came is wrong.
        """
        names = names_about(self._settings, "properties")
        if not names:
            return
        query = (
            "select distinct event from stage where type = 'track' and event in (select unnest($names)) order by event"
        )
        came = [row[0] for row in self._connection.execute(query, {"names": list(names)}).fetchall()]
        asked = [contract for contract in active_events(self._settings, names=came).values() if contract.properties]
        if not asked:
            return
        facts, codes = [], []
        for contract in asked:
            when = f"when contracted = {engine.literal(contract.event)}::contracted then"
            paths = ", ".join(engine.literal(_pointer(each.name)) for each in contract.properties)
            found = [self._code(contract, each, place) for place, each in enumerate(contract.properties, 1)]
            facts.append(f"{when} try(json_extract(properties, [{paths}]))")
            codes.append(f"{when} [{', '.join(found)}]")
        self._connection.execute(f"create type contracted as enum ({_listed(each.event for each in asked)})")
        self._connection.execute(engine.statement(_PACKAGE, "breaches"))
        self._note_rules()
        n_values = max(len(each.properties) for each in asked)
        said = {
            "facts": f"case {' '.join(facts)} end",
            "codes": f"case {' '.join(codes)} end",
            "values": ", ".join(f"facts[{place}]::varchar as value_{place}" for place in range(1, n_values + 1)),
            "events": _listed(each.event for each in asked),
        }
        # All at once, for a name, a value or a pattern of a contract may look like one of these places.
        text = _PLACE.sub(lambda place: said[place[1]], engine.statement(_PACKAGE, "broken"))
        self._connection.execute(text)
        self._connection.execute(
            "delete from verdicts where row_no in"
            " (select row_no from broken inner join rules using (code) where refuses)"
        )
        self._connection.execute(engine.statement(_PACKAGE, "broken_verdicts"))

    def _code(self, contract: EventContract, asked: Property, place: int) -> str:
        """Return the SQL of the first rule that a property breaks, null when it breaks none; its rules are noted."""
        x = f"value_{place}"
        whens = []
        for condition, words in _rules(asked, x):
            self._rules.append(Rule(contract.event, asked.name, words, contract.on_breach == "quarantine"))
            whens.append(f"when {condition} then {len(self._rules)}")
        nothing = [] if asked.required else [f"when {_is_none(x)} then null::integer"]
        return f"case {' '.join([*nothing, *whens])} end"

    def _note_rules(self) -> None:
        self._connection.execute(
            "create table rules as select generate_subscripts($words, 1) as code, unnest($events) as event,"
            " unnest($properties) as property, unnest($words) as words, unnest($refuses) as refuses",
            {
                "events": [rule.event for rule in self._rules],
                "properties": [rule.property for rule in self._rules],
                "words": [rule.words for rule in self._rules],
                "refuses": [rule.refuses for rule in self._rules],
            },
        )

    def counts(self) -> list[tuple[Rule, int]]:
        """Return how many rows each rule keeps out, or, where it only warns, how many that land break it."""
        if not self._rules:
            return []
        self._connection.execute(engine.statement(_PACKAGE, "broken_counted"))
        rows = self._connection.execute(engine.statement(_PACKAGE, "broken_counts")).fetchall()
        return [(self._rules[code - 1], n_events) for code, n_events in rows]

    def warned(self) -> dict[str, int]:
        """Return how many rows of each event land although they break its contract, each once; after `counts`."""
        if not self._rules:
            return {}
        query = "select event, count(distinct row_no) from counted where not refuses group by event order by event"
        return dict(self._connection.execute(query).fetchall())


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


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(engine.literal, texts))


def _pointer(name: str) -> str:
    """Return where a property stands, as a JSON pointer: it takes any name."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
