"""Whose events belong to nobody, as the published copy knows it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tailrace import engine
from tailrace.errors import DataError
from tailrace.pipeline.published import has, published
from tailrace.settings import Settings


@dataclass(frozen=True)
class Orphans:
    """What belongs to nobody: counted per source and type of event, and of each source the ids with the most of it.

    Calls about an object alone (`n_object_calls`) name nobody, and are counted apart.
    """

    counts: list[dict[str, Any]]
    ids: list[dict[str, Any]]


def list_orphans(settings: Settings) -> Orphans:
    """Return the orphans of the last run.

    Raises DataError when nothing has been published, or the project lacks one of the two reports.
    """
    with published(settings) as connection:
        for table in ("rpt_orphans", "rpt_orphan_ids"):
            if not has(connection, "reports", table):
                raise DataError(
                    f"{settings.published}: there is no reports.{table}; expected the model models/reports/{table}.sql"
                    " in the project: add it, and run once"
                )
        counts = "select * from reports.rpt_orphans where n_orphans > 0 or n_object_calls > 0 order by source, type"
        most = "select * from reports.rpt_orphan_ids order by source, n_events desc, anonymous_id"
        return Orphans(engine.rows(connection, counts), engine.rows(connection, most))
