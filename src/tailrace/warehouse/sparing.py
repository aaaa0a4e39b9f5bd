"""What does dbt do in every run that nobody here asks for? Said to it once, in the process that imports it.

Of a run's events we read errors and what a model prints, and a warning may have to stop it; dbt makes a message of each
of a thousand others and throws it away. Where a version of dbt is built otherwise than is assumed here, it goes its own
way and only takes longer (`tests/warehouse/test_sparing.py` then says so).
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

# A query that begins, after comments, with `with`; `recursive` and further comments dbt is to look through itself.
_COMMENT = re.compile(r"--[^\n]*")
_NAMES_FIRST = re.compile(r"(?:\s|--[^\n]*\n)*with\s+(?!recursive\b|--|/\*)", re.IGNORECASE)


def spare() -> None:
    """Have dbt leave out what takes it long and is thrown away."""
    for leave_out in (_messages, _events, _patterns_of_dates, _summaries, _callers, _macros, _parsing):
        with contextlib.suppress(ImportError, AttributeError):
            leave_out()


def trust() -> None:
    """Have dbt take its settings as they stand: it has read this project with them before, and the profile is ours."""
    with contextlib.suppress(ImportError, AttributeError):
        project: Any = import_module("dbt.contracts.project")
        for checked in (
            project.Project,
            project.PackageConfig,
            project.ProfileConfig,
            project.ProjectFlags,
            project.Configuration,
            import_module("dbt.contracts.selection").SelectorFile,
            import_module("dbt.adapters.duckdb.credentials").DuckDBCredentials,
        ):
            # The schema that everything satisfies: making the real one takes longer than all checks.
            checked.json_schema = dict


def _messages() -> None:
    """Make a message of an event only when it can be heard."""
    levels: Any = import_module("dbt_common.events.base_types").EventLevel
    printed: Any = import_module("dbt_common.events.logger").PRINT_EVENT_NAMES
    manager: Any = import_module("dbt_common.events.event_manager").EventManager
    unheard = frozenset({levels.DEBUG, levels.TEST, levels.INFO})

    class Sparing(manager):  # type: ignore[misc]
        def fire_event(
            self, e: Any, level: Any = None, node: Any = None, force_warn_or_error_handling: bool = False
        ) -> None:
            is_heard = (level or e.level_tag()) not in unheard or type(e).__name__ in printed
            if is_heard or force_warn_or_error_handling:
                super().fire_event(e, level, node, force_warn_or_error_handling)

    import_module("dbt_common.events.event_manager_client").ctx_set_event_manager(Sparing())


def _events() -> None:
    """Build an event when somebody looks at it."""
    event: Any = import_module("dbt_common.events.base_types").BaseEvent
    build, read, write = event.__init__, event.__getattr__, event.__setattr__

    def keep(self: Any, *args: Any, **kwargs: Any) -> None:
        self.__dict__["kept"] = args, kwargs

    def need(self: Any) -> None:
        if "kept" in self.__dict__:
            args, kwargs = self.__dict__.pop("kept")
            build(self, *args, **kwargs)

    def get(self: Any, name: str) -> Any:
        # Python asks here for what the event does not have: until it is built, that is everything.
        need(self)
        return self.__dict__["pb_msg"] if name == "pb_msg" else read(self, name)

    def put(self: Any, name: str, value: Any) -> None:
        need(self)
        write(self, name, value)

    event.__init__, event.__getattr__, event.__setattr__ = keep, get, put


def _patterns_of_dates() -> None:
    """Make the patterns by which dates are read once: every answer of the database gets readers of its own."""
    dates: Any = import_module("parsedatetime")
    dates.Constants = functools.cache(dates.Constants)


def _summaries() -> None:
    """Write no summary of the graph for whoever looks into dbt's own speed."""
    linker: Any = import_module("dbt.compilation").Linker
    del linker.get_graph_summary
    linker.get_graph_summary = lambda _self, _manifest: {}


def _callers() -> None:
    """Do not look through the stack for who asks about a change of dbt's behaviour."""
    flag: Any = import_module("dbt_common.behavior_flags").BehaviorFlagRendered
    del flag._default_source
    flag._default_source = staticmethod(lambda: "tailrace")


def _macros() -> None:
    """Sort the macros for a template once: dbt looks each of hundreds up again to list them."""
    context: Any = import_module("dbt.context.macros")
    generator: Any = import_module("dbt.clients.jinja").MacroGenerator
    project, builder = context.GLOBAL_PROJECT_NAME, context.MacroNamespaceBuilder

    class Macro(generator):  # type: ignore[misc]
        def __init__(self, macro: Any, context: Any, node: Any, stack: Any) -> None:
            self.macro = macro
            self.context = context
            self.node = node
            self.stack = stack

    class Namespace(dict[str, Any]):
        """All that a template can call, in one dict; what dbt finds first is put in last."""

        get_from_package = context.MacroNamespace.get_from_package

        def __init__(self, own: Any, root: Any, packages: Any, internal: Any) -> None:
            self.packages = packages
            self.global_project_namespace = internal
            for names in (internal, {project: internal}, packages, root, own):
                self.update(names)

    def build_namespace(self: Any, macros_by_package: Any, ctx: Any) -> Namespace:
        node, stack = self.node, self.thread_ctx
        made = {
            package: {name: Macro(macro, ctx, node, stack) for name, macro in macros.items()}
            for package, macros in macros_by_package.items()
        }
        internal: dict[str, Any] = {}
        for package in reversed(self.internal_package_names_order):
            internal.update(made.get(package, {}))
        others = {package: names for package, names in made.items() if package not in self.internal_package_names}
        own = others.get(self.search_package, {})
        root = {} if self.search_package == self.root_package else others.get(self.root_package, {})
        return Namespace(own, root, others, internal)

    builder.build_namespace = build_namespace


def _parsing() -> None:
    """Put the SQL of ephemeral models before a query without taking all of it apart."""
    compilation: Any = import_module("dbt.compilation")
    thorough = compilation.inject_ctes_into_sql

    def inject(sql: str, ctes: Sequence[Any]) -> str:
        begins = _NAMES_FIRST.match(sql)
        # What may be more than one statement dbt is to cut itself.
        if not ctes or begins is None or ";" in _COMMENT.sub("", sql):
            return str(thorough(sql, ctes))
        return f"{sql[: begins.end()]}{', '.join(each.sql for each in ctes)}, {sql[begins.end() :]}"

    compilation.inject_ctes_into_sql = inject
