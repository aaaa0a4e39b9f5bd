"""What may authored SQL touch? The DuckDB connection of dbt: the warehouse file and the landed Parquet, no other file.

dbt-duckdb loads this module as a plugin (the profile that `runner.py` writes names it) and hands it the connection
before the first statement. Afterwards no setting can be changed on it, so no model can undo this.

What is left: DuckDB has one list for reading and writing, so a model that is made for it could overwrite the very
Parquet files it may read (`copy … to … (use_tmp_file false)`). Landed files that are read-only on disk for the user
that runs dbt close that too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from tailrace.engine import literal


class Plugin(BasePlugin):
    """Confines the connection to the files that `readable` (a JSON list of paths) names."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Keep the path of the list."""
        self._readable = Path(plugin_config["readable"])

    def configure_connection(self, conn: Any) -> None:
        """Switch off every other file, the network and extensions, then lock the settings. The order matters."""
        paths = ", ".join(literal(path) for path in json.loads(self._readable.read_text(encoding="utf-8")))
        conn.execute("set global timezone = 'UTC'")
        conn.execute(f"set allowed_paths = [{paths}]")
        conn.execute("set enable_external_access = false")
        conn.execute("set lock_configuration = true")
