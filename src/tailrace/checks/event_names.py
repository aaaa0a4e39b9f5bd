"""Which event names does the project know, and which came that it does not know?

Known is what has a contract, and what campaigns and models ask for by name. As long as no contract is on, nobody has
said which events there are: then nothing is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from tailrace.campaigns.shelf import Shelf, load_campaigns
from tailrace.errors import Problem, nearest
from tailrace.landing.taxonomy import EventContract, active_events
from tailrace.settings import Settings
from tailrace.warehouse.catalog import read_vars

OURS = ("broadcast_requested", "form_submitted")
"""Events that tailrace itself gives a meaning."""
_MOST_HINTS = 200
# A name that comes once where another way to write it comes so many times is taken for a mistake.
_RARE = 20
_TEXT = r"'((?:[^'\n]|'')+)'"
_ASKED = re.compile(
    rf"\bevent\s*(?:=|==|<>|!=)\s*{_TEXT}|\bevent\s+(?:not\s+)?in\s*\(((?:\s*{_TEXT}\s*,?)+)\)|performed\(\s*{_TEXT}",
    re.IGNORECASE,
)
_QUOTED = re.compile(_TEXT)


def known_names(
    settings: Settings, contracts: Mapping[str, EventContract] | None = None, shelf: Shelf | None = None
) -> frozenset[str]:
    """Return the names that the project knows; none while no contract is on.

    Raises DefinitionError when a contract is wrong; campaigns that cannot be read name nothing.
    """
    found = active_events(settings) if contracts is None else contracts
    if not found:
        return frozenset()
    read = load_campaigns(settings.project_dir, strict=False) if shelf is None else shelf
    asked = [name for *_, name in _of_campaigns(read)]
    return frozenset({*found, *asked, *OURS, *_of_models(settings), *_of_vars(read_vars(settings))})


def unknown_names(names: Iterable[str], known: Collection[str]) -> dict[str, str | None]:
    """Return those of the names that are not known, in their order, each with the known one that was meant, perhaps."""
    if not known:
        return {}
    strangers = [name for name in dict.fromkeys(names) if name not in known]
    alike = {_plain(name): name for name in sorted(known, reverse=True)}
    return {
        name: alike.get(_plain(name)) or (_nearest(name, known) if place < _MOST_HINTS else None)
        for place, name in enumerate(strangers)
    }


def misspelled(counts: Mapping[str, int], known: Collection[str]) -> dict[str, str]:
    """Return those of the names that are another one but for case and punctuation, each with that one.

    That is a `known` one, or one that came a lot more often; `counts` is how often each came.
    """
    found = {}
    commonest = {_plain(name): name for name in sorted(counts, key=lambda name: (counts[name], name))}
    alike = {_plain(name): name for name in sorted(known, reverse=True)}
    for name, count in counts.items():
        meant = alike.get(_plain(name))
        common = commonest[_plain(name)]
        if name not in known and meant is not None:
            found[name] = meant
        elif name not in known and count * _RARE <= counts[common]:
            found[name] = common
    return found


def in_words(name: str, meant: str | None) -> str:
    """Return what to say of a name that is not known."""
    if meant is None:
        return f"`{name}` is not known: no contract, campaign or model names it"
    case = " Names are case-sensitive" if name.casefold() == meant.casefold() else ""
    return f"`{name}`: did you mean `{meant}`?{case}"


def campaign_notices(shelf: Shelf, contracts: Mapping[str, EventContract]) -> list[Problem]:
    """Return what campaigns ask for that no contract has, where one has nearly the same name."""
    asked = [place for place in _of_campaigns(shelf) if place[2] not in OURS]
    meant = unknown_names([name for *_, name in asked], contracts)
    return [
        Problem(path, line, f"the event has no contract. {in_words(name, close)}")
        for path, line, name in asked
        if (close := meant.get(name)) is not None
    ]


def late_notices(shelf: Shelf, contracts: Mapping[str, EventContract]) -> list[Problem]:
    """Return each trigger that allows its event to be later than the event's contract does, which counts."""
    found = []
    for campaign in shelf.campaigns.values():
        own, event = (getattr(campaign.trigger, name, None) for name in ("late", "event"))
        contract = contracts.get(event) if event is not None else None
        if own is not None and contract is not None and contract.late is not None and own > contract.late:
            text = (
                f"`late` of the trigger is longer than that of `{event}` ({contract.path}), and the shorter one counts:"
                " an event that is older when it lands never triggers"
            )
            found.append(Problem(campaign.path, None, text))
    return found


def _of_campaigns(shelf: Shelf) -> list[tuple[str, int, str]]:
    """Return the events that campaigns ask for, each with its place."""
    return [
        (campaign.path, reference.line, reference.name)
        for campaign in shelf.campaigns.values()
        for reference in campaign.references
        if reference.what == "event"
    ]


def _of_models(settings: Settings) -> Iterator[str]:
    for folder in ("models", "macros"):
        for path in sorted((settings.project_dir / folder).rglob("*.sql")):
            for one, several, _, performed in _ASKED.findall(path.read_text(encoding="utf-8", errors="replace")):
                for name in [one, performed, *_QUOTED.findall(several)]:
                    # What a macro pastes is no name yet.
                    if name and "{{" not in name and " ~ " not in name:
                        yield name.replace("''", "'")


def _of_vars(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield the events that vars name: those of vars called `…_event` or `…_events`."""
    for key, value in variables.items():
        if key.endswith(("_event", "_events")):
            yield from [value] if isinstance(value, str) else [each for each in value or () if isinstance(each, str)]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _nearest(name: str, known: Collection[str]) -> str | None:
    hint = nearest(name, sorted(known))
    # The name stands between the first backtick and the last one: it may have some of its own.
    return hint[hint.index("`") + 1 : hint.rindex("`")] if hint else None
