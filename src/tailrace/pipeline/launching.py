"""Would a campaign do what it should if it went live now? A list to go through before the launch, from live data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from tailrace import clock, engine
from tailrace.campaigns.definition import Campaign
from tailrace.campaigns.policy import Policy
from tailrace.campaigns.shelf import load_campaigns
from tailrace.campaigns.triggers import FORM_EVENT
from tailrace.checks.event_names import OURS, in_words, unknown_names
from tailrace.checks.project import Findings
from tailrace.checks.rates import RECENT, USUAL, Rate, Status, judge
from tailrace.destinations.connections import Connection, Connections, load_connections
from tailrace.errors import DataError, DefinitionError, TailraceError, nearest
from tailrace.journal.journal import Journal
from tailrace.landing.census import kept_out, seen
from tailrace.landing.loads import event_files, loads
from tailrace.pipeline.published import has, published
from tailrace.planning.payloads import USABLE_ADDRESS, address_column
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings, secret

_PACKAGE = "tailrace.pipeline"
_SHAPE = {"email": USABLE_ADDRESS, **dict.fromkeys(("sms", "whatsapp", "push"), r"\S.*")}
_FEW = 0.5
"""Below this share of addresses, or of people who may be written to, somebody should know why."""


@dataclass(frozen=True)
class Item:
    """One thing on the list; `todo` is what to do about it, empty when it is well."""

    what: str
    status: Status
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Launch:
    """The list of one campaign."""

    campaign: str
    items: list[Item]

    @property
    def failed(self) -> bool:
        """Whether something stands in the way."""
        return any(item.status == "failed" for item in self.items)


@dataclass(frozen=True)
class _Ground:
    """What all campaigns' lists are made from. `people` is the published copy, None before the first run."""

    settings: Settings
    as_of: datetime
    people: engine.Connection | None
    files: str
    findings: Findings
    policy: Policy
    connections: Connections
    plan: Plan | None
    why_not_live: str | None
    rates: Mapping[tuple[str, str | None], Rate]
    kept_out: Mapping[str, int]


def launch_lists(settings: Settings, slug: str | None, as_of: datetime, findings: Findings) -> list[Launch]:
    """Return the list of a campaign, or of each that has not ended; `findings` are what `check` found.

    Raises DataError for a campaign that is not there or off, DefinitionError when policy or destinations are wrong.
    """
    shelf = load_campaigns(settings.project_dir, strict=False)
    if slug is not None and slug in shelf.off:
        raise DataError(
            f"campaign `{slug}` is of the programme `{shelf.off[slug].programme}`, which is off; expected one that is"
            " on: name it under `programmes` in dbt_project.yml"
        )
    if slug is not None and slug not in shelf.campaigns:
        own = [problem for problem in shelf.problems if problem.path.startswith(f"campaigns/{slug}/")]
        if own:
            raise DefinitionError(own)
        raise DataError(
            f"there is no campaign `{slug}`; expected a folder of campaigns/.{nearest(slug, shelf.campaigns)}"
        )
    if shelf.policy is None:
        raise DefinitionError(shelf.problems)
    chosen = [
        each for each in shelf.campaigns.values() if each.slug == slug or (slug is None and each.status != "ended")
    ]
    store = Store(settings)
    head = store.head()
    landed = loads(settings)
    listed = ", ".join(engine.literal(str(path)) for path in event_files(settings, landed))
    with ExitStack() as stack:
        ground = _Ground(
            settings=settings,
            as_of=as_of,
            people=stack.enter_context(published(settings)) if settings.published.is_file() else None,
            files=listed,
            findings=findings,
            policy=shelf.policy,
            connections=load_connections(settings),
            plan=store.read(head) if head else None,
            why_not_live=_why_not_live(settings),
            rates=_rates(settings, listed, as_of, chosen),
            kept_out=kept_out(settings),
        )
        return [Launch(campaign.slug, list(_items(ground, campaign))) for campaign in chosen]


def _why_not_live(settings: Settings) -> str | None:
    with Journal.open(settings) as journal:
        lease = journal.live_show()
    return None if lease.held else (lease.why_not or "nobody has taken it")


def _rates(
    settings: Settings, files: str, as_of: datetime, campaigns: Sequence[Campaign]
) -> dict[tuple[str, str | None], Rate]:
    """Return how often each event came, and of the one that all forms have in common how often for each form."""
    names = sorted({name for campaign in campaigns for name in _events(campaign)})
    if not files or not names:
        return {}
    query = engine.statement(_PACKAGE, "launch_events").replace("{files}", files)
    with engine.connect(settings) as connection:
        rows = connection.execute(query, {"events": names, "of_forms": FORM_EVENT, **_instants(as_of)}).fetchall()
    return {
        (event, form): Rate(recent, usual, first.replace(tzinfo=UTC), last.replace(tzinfo=UTC))
        for event, form, recent, usual, first, last in rows
    }


def _instants(as_of: datetime) -> dict[str, datetime]:
    return {
        "as_of": clock.naive(as_of),
        "recent": clock.naive(as_of - RECENT),
        "usual": clock.naive(as_of - RECENT - USUAL),
    }


def _events(campaign: Campaign) -> dict[str, None]:
    """Return the events that the campaign asks for, the trigger's first."""
    asked = [reference.name for reference in campaign.references if reference.what == "event"]
    start = getattr(campaign.trigger, "event", None)
    return dict.fromkeys([*([start] if start else []), *(name for name in asked if name not in OURS)])


def _items(ground: _Ground, campaign: Campaign) -> Iterator[Item]:
    yield from _written(ground, campaign)
    yield _status(campaign)
    yield Item(
        "sending", "ok", "messages wait for `tailrace drafts approve`" if campaign.sending == "draft" else "automatic"
    )
    yield from _data(ground)
    yield from _events_come(ground, campaign)
    yield from _trigger_stands(ground, campaign)
    yield from _channels(ground, campaign)
    yield _holdout(ground, campaign)


def _written(ground: _Ground, campaign: Campaign) -> Iterator[Item]:
    problems = ground.findings.problems
    own = [problem for problem in problems if problem.path.startswith(f"campaigns/{campaign.slug}/")]
    for problem in own:
        yield Item("definition", "failed", str(problem), "correct it: `tailrace check`")
    if not own:
        yield Item("definition", "ok", "as it should be written")
    if others := len(problems) - len(own):
        yield Item("project", "failed", f"{others} problems elsewhere", "`tailrace check`")


def _status(campaign: Campaign) -> Item:
    if campaign.status == "live":
        return Item("status", "ok", "live")
    words = {
        "draft": ("warning", "a draft: it is counted, and nobody hears of it", "`status: live` when all is well"),
        "paused": ("warning", "paused: nobody enters", "`status: live`"),
        "ended": ("failed", "ended", "`status: live`, or a new campaign"),
    }
    status, text, todo = words[campaign.status]
    return Item("status", "failed" if status == "failed" else "warning", text, todo)


def _data(ground: _Ground) -> Iterator[Item]:
    if ground.people is None or ground.plan is None:
        yield Item("data", "failed", "nothing has been built and planned yet", "`tailrace run`")
        return
    age = ground.as_of - ground.plan.as_of
    text = f"the last plan is of {clock.iso(ground.plan.as_of)}"
    if age > RECENT:
        yield Item("data", "warning", f"{text}, {age.days} days before", "`tailrace run`")
    else:
        yield Item("data", "ok", text)


def _events_come(ground: _Ground, campaign: Campaign) -> Iterator[Item]:
    start, form = (getattr(campaign.trigger, name, None) for name in ("event", "form"))
    for name in _events(campaign):
        starts = name == start
        rate = ground.rates.get((name, form if starts else None), Rate(0, 0, None, None))
        status, text = judge(rate, ground.as_of, starts=starts)
        todo = "" if status == "ok" else "ask whoever sends it; is the name right? `tailrace events`"
        if rate.last_at is None and (meant := _meant(ground, name)):
            todo = meant
        said = f"`{name}` of the form `{form}`" if starts and form else f"`{name}`"
        yield Item("trigger event" if starts else "event", status, f"{said}: {text}", todo)
        if ground.kept_out.get(name):
            yield Item(
                "contract",
                "warning",
                f"`{name}`: {ground.kept_out[name]:,} are in quarantine for their contract",
                "`tailrace quarantine list`, then mend the contract or the sender",
            )


def _meant(ground: _Ground, name: str) -> str | None:
    """Return the question after the name of an event that has come, when one has nearly this name."""
    landed = [row.event for row in seen(ground.settings)]
    meant = unknown_names([name], landed).get(name)
    return None if meant is None else in_words(name, meant)


def _trigger_stands(ground: _Ground, campaign: Campaign) -> Iterator[Item]:
    segment = getattr(campaign.trigger, "segment", None)
    if segment is None or ground.plan is None:
        return
    known = ground.plan.segments.get(segment)
    if known is not None and known.get("parked"):
        yield Item("trigger", "failed", f"{segment} is parked ({known['parked']})", "`tailrace guard list`")


def _considered(ground: _Ground, connection: engine.Connection, campaign: Campaign) -> tuple[str, str]:
    """Return whom the campaign would consider, as SQL and in words."""
    trigger = campaign.trigger
    segment, event = getattr(trigger, "segment", None), getattr(trigger, "event", None)
    attribute, of = getattr(trigger, "attribute", None), getattr(trigger, "object", None)
    if of is not None:
        people = f"select person_id from core.fct_object_people where object = {engine.literal(of)}"
        return people, f"people of an object `{of}`"
    if segment is not None:
        return f"select person_id from segments.{engine.identifier(segment)}", f"people in {segment}"
    if event is not None and ground.files:
        where = getattr(trigger, "where_sql", None) or "true"
        query = engine.statement(_PACKAGE, "launch_started")
        for key, value in (("files", ground.files), ("where", where)):
            query = query.replace(f"{{{key}}}", value)
        instants = {key: value for key, value in _instants(ground.as_of).items() if key != "recent"}
        connection.execute(f"create or replace temp table started as {query}", {"event": event, **instants})
        people = "select person_id from core.dim_people where user_id in (select user_id from temp.started)"
        return people, f"people whose `{event}` came in {(RECENT + USUAL).days} days and fits"
    if attribute is not None:
        for table in ("dim_people", "dim_person_features"):
            if attribute in engine.columns(connection, f"core.{table}"):
                name = engine.identifier(attribute)
                return f"select person_id from core.{table} where {name} is not null", f"people with {attribute}"
    return "select person_id from core.dim_people", "all people"


def _channels(ground: _Ground, campaign: Campaign) -> Iterator[Item]:
    used = {campaign.messages[name].channel for name in campaign.used_messages & campaign.messages.keys()}
    for channel in sorted(used):
        yield _destination(ground, channel)
    sent = {
        campaign.messages[step.message].channel
        for step in campaign.sends
        if step.message in campaign.messages and not campaign.messages[step.message].to
    }
    if ground.people is None:
        return
    for channel in sorted(sent & _SHAPE.keys()):
        yield from _reach(ground, ground.people, campaign, channel)


def _destination(ground: _Ground, channel: str) -> Item:
    connection = ground.connections.of_channel(channel)
    what = f"destination of {channel}"
    if connection is None:
        return Item(
            what, "failed", "there is none: nothing would leave", f"name one for `{channel}` in destinations.yml"
        )
    if missing := _unset(connection):
        return Item(what, "failed", f"`{connection.name}`: the variable `{missing}` is not set", f"set `{missing}`")
    if not connection.capabilities.needs_live:
        return Item(
            what, "warning", f"`{connection.name}` writes files: nothing leaves", f"name another for `{channel}`"
        )
    if ground.why_not_live is not None:
        text = f"`{connection.name}` reaches allow-listed addresses only: {ground.why_not_live}"
        return Item(what, "failed", text, "`tailrace live acquire`")
    return Item(what, "ok", f"`{connection.name}` ({connection.type})")


def _unset(connection: Connection) -> str | None:
    for key, name in connection.settings:
        if key.endswith("_env") and name is not None:
            try:
                secret(name)
            except TailraceError:
                return str(name)
    return None


def _reach(ground: _Ground, people: engine.Connection, campaign: Campaign, channel: str) -> Iterator[Item]:
    """Yield who of those considered has an address, and who of these may be written to."""
    segment = getattr(campaign.trigger, "segment", None)
    is_of_people = segment is not None and getattr(campaign.trigger, "object", None) is None
    if is_of_people and not has(people, "segments", str(segment)):
        yield Item("people", "failed", f"{segment} has not been built", "`tailrace run`")
        return
    query, whom = _considered(ground, people, campaign)
    columns, shape = engine.columns(people, "core.dim_people"), _SHAPE[channel]
    column = address_column(channel, columns)
    known = column in columns
    fits = f"regexp_full_match(trim(people.{engine.identifier(column)}::varchar), {engine.literal(shape)})"
    has_address = f"coalesce({fits}, false)" if known else "false"
    text = (
        engine.statement(_PACKAGE, "launch_people").replace("{considered}", query).replace("{has_address}", has_address)
    )
    topic = campaign.topic or ""
    known_topic = ground.policy.rules.topics.get(topic)
    values = {
        "channel": channel,
        "topic": topic,
        "is_marketing": campaign.klass == "marketing",
        "is_opt_in": campaign.klass == "marketing" and known_topic is not None and known_topic.default != "subscribed",
    }
    n_people, n_addresses, n_reachable = engine.row(people, text, values)
    if not n_people:
        yield Item("people", "warning", f"{whom}: none now", "is the trigger right? `tailrace plan --campaign`")
        return
    yield Item("people", "ok", f"{whom}: {n_people:,} now")
    todo = "" if known else f"dim_people has no column `{column}`: add it to the model"
    yield _share(f"addresses for {channel}", n_addresses, n_people, "have one", todo or "ask the source that owns it")
    about = f"of `{topic}`" if topic else "of transactional mail"
    if n_addresses:
        words = f"with an address may hear {about}"
        yield _share(
            f"consent for {channel}", n_reachable, n_addresses, words, "docs/consent.md says who may not, and why"
        )


def _share(what: str, some: int, whole: int, words: str, todo: str) -> Item:
    text = f"{some:,} of {whole:,} ({some / whole:.0%}) {words}"
    if some == 0:
        return Item(what, "failed", text, todo)
    return Item(what, "warning", text, todo) if some / whole < _FEW else Item(what, "ok", text)


def _holdout(ground: _Ground, campaign: Campaign) -> Item:
    shares = [("of the campaign", campaign.holdout_bp), ("of all campaigns", ground.policy.rules.holdout_bp)]
    said = [f"{share / 100:g} % {words}" for words, share in shares if share]
    if said:
        return Item("holdout", "ok", ", ".join(said))
    if campaign.klass != "marketing":
        return Item("holdout", "ok", "none, as for transactional mail")
    return Item("holdout", "warning", "none: what it brings cannot be measured", "`holdout: 10%` in campaign.yml")
