"""Is this installation well? Versions, stores, locks, journal, lease, and what is stuck."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

import duckdb

from tailrace import clock, durable, engine
from tailrace.destinations.connections import load_connections
from tailrace.errors import Busy, TailraceError
from tailrace.journal.journal import Journal
from tailrace.journal.opening import is_made
from tailrace.landing import erased
from tailrace.landing.backfills import OUTSIDE
from tailrace.landing.loads import Load, loads
from tailrace.landing.quarantine import counts
from tailrace.pipeline.published import published
from tailrace.pipeline.syncing import left_behind
from tailrace.planning.store import Store
from tailrace.settings import Settings
from tailrace.warehouse.build import read_generation

LOW_SPACE = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    subject: str
    status: Literal["ok", "note", "bad"]
    text: str

    def row(self) -> dict[str, Any]:
        """Return the finding as JSON-able facts."""
        return asdict(self)


def examine(settings: Settings) -> list[Finding]:
    """Return what was found; examining changes nothing but migrating an older journal."""
    findings = []
    for subject, look in _LOOKS.items():
        try:
            findings += [Finding(subject, status, text) for status, text in look(settings)]  # type: ignore[arg-type]
        except Busy as error:
            findings.append(Finding(subject, "note", str(error)))
        except TailraceError as error:
            findings.append(Finding(subject, "bad", f"{error}{_REMEDY.get(subject, '')}"))
        except (OSError, ValueError) as error:
            # What stands in a damaged file may be anybody's: the kind of error is enough to know which to restore.
            findings.append(Finding(subject, "bad", f"cannot be read ({type(error).__name__}): restore {subject}"))
    return findings


def _versions(settings: Settings) -> Iterator[tuple[str, str]]:
    engine.connect(settings).close()
    names = ("tailrace", "duckdb", "dbt-core", "dbt-duckdb", "prefect")
    found = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    yield "ok", f"Python {sys.version.split()[0]}, {found}"


def _space(settings: Settings) -> Iterator[tuple[str, str]]:
    place = next(path for path in (settings.data_dir, *settings.data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    yield "bad" if free < LOW_SPACE else "ok", f"{free / 1e9:.1f} GB free at {settings.data_dir}"


def _landing(settings: Settings) -> Iterator[tuple[str, str]]:
    landed = loads(settings)
    lines, rows = sum(load.lines for load in landed), sum(load.landed for load in landed)
    yield "ok", f"{len(landed):,} loads: {lines:,} lines read, {rows:,} landed"
    held = {reason: n for reason, n in counts(settings).items() if reason != OUTSIDE}
    if held:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in held.items())
        yield "note", f"{sum(held.values()):,} lines are in quarantine ({reasons}): `tailrace quarantine list`"
    waiting = _waiting(settings, landed)
    if waiting:
        yield "note", f"{waiting:,} files in {settings.inbox} are in no load: the next run lands what is new in them"


def _waiting(settings: Settings, landed: list[Load]) -> int:
    known = {(load.source, file.name, file.bytes) for load in landed for file in load.files}
    return sum(
        (source.name, path.relative_to(source).as_posix(), path.stat().st_size) not in known
        for source in (settings.inbox.iterdir() if settings.inbox.is_dir() else ())
        for path in source.rglob("*")
        if path.is_file()
    )


def _warehouse(settings: Settings) -> Iterator[tuple[str, str]]:
    generation = read_generation(settings)
    if generation is None:
        yield "note", "no complete generation; the next run builds one"
        return
    yield "ok", f"generation {generation.generation_id} as of {clock.iso(generation.as_of)}"
    for model, reason in sorted(generation.failed.items()):
        yield "bad", f"{model} did not build: {reason}"


def _published(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.published.is_file():
        yield "note", "nothing has been published yet; the first run does it"
        return
    with published(settings):
        yield "ok", f"{settings.published} can be read"


def _plans(settings: Settings) -> Iterator[tuple[str, str]]:
    store = Store(settings)
    head = store.head()
    if head is None:
        yield "note", "no plan has been applied yet"
        return
    plan = store.read(head)
    missing = [
        piece.sha256[:12] for pieces in plan.relations.values() for piece in pieces if not store.path(piece).is_file()
    ]
    if missing:
        yield "bad", f"HEAD {head} lacks {len(missing)} of its objects ({', '.join(missing[:3])}): restore plans/"
    else:
        yield "ok", f"HEAD {head} as of {clock.iso(plan.as_of)}"
    for guard in plan.guards:
        if guard["tripped"] and guard["released"] is None:
            yield "bad", f"{guard['guard']} parks {guard['subject']}: `tailrace guard list`"


def _journal(settings: Settings) -> Iterator[tuple[str, str]]:
    if not is_made(settings):
        yield "note", "no journal yet; the first run makes one"
        return
    with Journal.open(settings) as journal:
        problem = journal.copy_problem()
        if problem:
            yield "bad", problem
        counts = journal.counts()
        states = ", ".join(f"{count:,} {state}" for state, count in counts.messages.items()) or "no messages yet"
        yield "ok", f"{journal.name}: {states}"
        for weakness in journal.weaknesses():
            yield "bad", weakness
        unknown = counts.messages.get("unknown", 0)
        if unknown and counts.oldest_unknown is not None:
            since = clock.iso(counts.oldest_unknown)
            yield "bad", f"{unknown:,} messages of unknown fate, the oldest since {since}: `tailrace unknown list`"
        lease = journal.live_show()
        yield "ok" if lease.held else "note", "live" if lease.held else f"not live: {lease.why_not}"
    if settings.journal_copy_dir is None:
        yield "note", "its copy is on the same disk; TAILRACE_JOURNAL_COPY names a folder on another one"


def _destinations(settings: Settings) -> Iterator[tuple[str, str]]:
    connections = load_connections(settings)
    used: dict[str, list[str]] = {}
    for channel, name in sorted(connections.channels.items()):
        used.setdefault(name, []).append(channel)
    for name in sorted(connections.names):
        connection = connections.by_name[name]
        text = f"{name} ({connection.type})" + (f", for {', '.join(used[name])}" if name in used else "")
        try:
            connection.open(settings).close()
        except TailraceError as error:
            yield "bad", f"{text}: {error}"
        else:
            yield "ok", text


def _syncs(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        found = left_behind(settings)
    except (TailraceError, OSError, ValueError, duckdb.Error) as error:
        # Which store is damaged is said where that is looked at.
        yield "note", f"what syncs that are gone have left at destinations cannot be told ({type(error).__name__})"
        return
    for each in found:
        yield "note", each.words


def _locks(settings: Settings) -> Iterator[tuple[str, str]]:
    for path, what in ((settings.run_lock, "a run"), (settings.deliver_lock, "delivery")):
        if not path.exists():
            continue
        try:
            with durable.exclusive(path, what):
                pass
        except Busy:
            yield "note", f"{what} is under way"
        else:
            yield "ok", f"{what} may start"


def _erasures(settings: Settings) -> Iterator[tuple[str, str]]:
    who = erased.listed(settings)
    for each in who.erasures if who is not None else ():
        if each.state == "begun":
            yield "bad", f"erasure {each.erasure_id} is not finished: `tailrace erasures finish`, or the next run"
        elif each.state == "waiting":
            yield (
                "note",
                f"erasure {each.erasure_id} waits for destinations: `tailrace erasures show {each.erasure_id}`",
            )
    if who is not None:
        yield "ok", f"{len(who.erasures):,} erasures are on the list that landing asks"


_REMEDY = {
    "warehouse": "; nothing is lost: remove the file, the next run builds it from landing",
    "published": "; nothing is lost: remove the file, the next run writes it again",
}

_LOOKS: dict[str, Callable[[Settings], Iterator[tuple[str, str]]]] = {
    "versions": _versions,
    "disk": _space,
    "landing": _landing,
    "warehouse": _warehouse,
    "published": _published,
    "plans": _plans,
    "journal": _journal,
    "erasures": _erasures,
    "destinations": _destinations,
    "syncs": _syncs,
    "locks": _locks,
}
