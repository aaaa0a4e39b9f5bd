"""How do readers get at the warehouse without opening the file that dbt writes? From a copy, swapped in by rename."""

from __future__ import annotations

import os
from pathlib import Path

from tailrace import crash, durable, engine
from tailrace.errors import BuildError
from tailrace.settings import Settings
from tailrace.warehouse.build import read_generation


def publish(settings: Settings) -> Path:
    """Put a copy of the stamped generation, without event-grain tables, at `settings.published` and return that path.

    A reader who has the old copy open keeps it; the next one opens the new. Raises BuildError when the warehouse
    carries no stamp, Busy when another process writes it.
    """
    if read_generation(settings) is None:
        raise BuildError(
            f"{settings.warehouse}: there is no complete generation to publish; expected a build that ended well:"
            " run `tailrace run` again"
        )
    aside = settings.published.with_name(f".{settings.published.name}.{os.getpid()}.tmp")
    durable.remove(aside)
    connection = engine.connect(settings)
    try:
        engine.attach(connection, settings.warehouse, "warehouse")
        engine.attach(connection, aside, "published", read_only=False)
        for schema, table in connection.execute(engine.statement("tailrace.warehouse", "published_tables")).fetchall():
            name = f"{engine.identifier(schema)}.{engine.identifier(table)}"
            connection.execute(f"create schema if not exists published.{engine.identifier(schema)}")
            connection.execute(f"create table published.{name} as from warehouse.{name}")
        connection.execute("checkpoint published")
        connection.execute("detach published")
    finally:
        connection.close()
    crash.here("publish.copied")
    durable.move_in(aside, settings.published)
    return settings.published
