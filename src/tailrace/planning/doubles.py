"""Of the passes that two user ids made of one person have in one campaign, which go on?

Only one of them, so that nobody hears the same twice; `doubles.sql` says which. What ends says so (`merged`). Of what
both have said and still have to say, `merged_messages` tells the journal what is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from tailrace.engine import statement
from tailrace.planning import passes
from tailrace.planning.migration import upcoming
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.steps import steps_of

_PACKAGE = "tailrace.planning"

_PLACES = pa.schema([("version", pa.string()), ("step", pa.string()), ("position", pa.int32())])

Versions = Mapping[str, Mapping[str, Any]]


def end_doubles(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Versions],
) -> dict[str, dict[str, Any]]:
    """End in `passes` what a merge of this plan makes double, note it in `doubles`, and return what plan.json keeps.

    Which messages say the same is in `merged_messages` then.

    Per campaign in which passes changed hands: how many did (`passes`), and where the `ended` ones rested: version,
    step, people, and the messages that come next and do not go there again.
    """
    concerned = connection.execute("select campaign, count(*) from repointed group by campaign order by all").fetchall()
    known = {campaign.slug: campaign for campaign in campaigns}
    return {
        slug: {"merged": {"passes": count, "ended": _end(connection, run, known[slug], versions[slug])}}
        for slug, count in concerned
        if slug in known
    }


def _end(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions
) -> list[dict[str, Any]]:
    places = [
        {"version": version, "step": step.id, "position": step.position}
        for version, definition in sorted(versions.items())
        for step in steps_of(definition["steps"])
    ]
    connection.register("given", pa.Table.from_pylist(places, schema=_PLACES))
    connection.execute("create or replace temp table places as select * from given")
    connection.unregister("given")
    repeat = campaign.definition["repeat"]["kind"]
    query = statement(_PACKAGE, "doubles").replace("{kept}", passes.kept(run, [campaign.slug]))
    values = {
        "campaign": campaign.slug,
        "each": repeat == "each_occurrence",
        "once": repeat in ("never", "each_occurrence"),
    }
    connection.execute(f"insert into doubles {query}", values)
    query = statement(_PACKAGE, "merged_messages").replace("{kept}", passes.kept(run, [campaign.slug]))
    connection.execute(f"insert into merged_messages {query}", values)
    mine = f"enrollment_id in (select enrollment_id from doubles where campaign = '{campaign.slug}')"
    passes.stir(connection, run, [campaign.slug], mine)
    connection.execute(
        f"update passes set over = 'merged', is_changed = true where campaign = $campaign and {mine}",
        {"campaign": campaign.slug},
    )
    ended = connection.execute(
        "select version, step, count(*) from doubles where campaign = $campaign group by all order by all",
        {"campaign": campaign.slug},
    ).fetchall()
    return [
        {"version": version, "step": step, "people": count, "unsaid": upcoming(versions[version]["steps"], step)}
        for version, step, count in ended
    ]
