"""What SQL does a model mean, told without dbt and without a warehouse? For reading only: it is never run.

The Jinja of a model and of the macros that the manifest holds (the project's and dbt's own) is rendered as dbt does
while it parses: `execute` is false, nothing is incremental yet. Whatever a project asks of dbt beyond that cannot be
told here, and the answer is None: who asks then has to assume the worst.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NoReturn

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from tailrace.engine import identifier

REFERABLE = ("model", "seed", "snapshot")
"""The types of nodes that `ref` finds."""
EPHEMERAL = "__ephemeral__"
"""The schema under which a model stands that dbt writes into those that read it."""

_DISPATCHED = ("duckdb__", "default__")
_CALLED = "rendered"
_MACRO = re.compile(r"(\{%-?\s*macro\s+)\w+\s*\(")


class _Returned(Exception):
    """A macro's `return(…)`."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Untold(Exception):
    """The model asks for something that only dbt knows."""


class Renderer:
    """Renders the models of one manifest. `variables` are the vars of dbt_project.yml."""

    def __init__(self, manifest: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        self._relations = _relations(manifest)
        self._variables = variables
        self._environment = SandboxedEnvironment(extensions=["jinja2.ext.do"], undefined=StrictUndefined)
        self._packages: dict[str, dict[str, Callable[..., Any]]] = {}
        for entry in manifest["macros"].values():
            self._packages.setdefault(entry["package_name"], {})[entry["name"]] = self._macro(entry)
        own = manifest["metadata"]["project_name"]
        # The project's macros stand before dbt's, as in dbt.
        order = [name for name in self._packages if name != own] + [own]
        self._macros = {name: macro for package in order for name, macro in self._packages.get(package, {}).items()}
        self._globals = self._context()

    def sql(self, code: str, relation: str) -> str | None:
        """Return the SQL that the code of the model at `relation` means, or None when it cannot be told."""
        this = _relation(relation)
        try:
            # dbt makes the same of it, in a sandbox of the same kind.
            return self._environment.from_string(code, globals={**self._globals, "this": this}).render()
        except (TemplateError, _Untold, _Returned, TypeError, ValueError, KeyError, AttributeError, RecursionError):
            return None

    def _macro(self, entry: Mapping[str, Any]) -> Callable[..., Any]:
        made: list[Any] = []

        def call(*args: Any, **kwargs: Any) -> Any:
            if not made:
                # Jinja gives nobody a macro whose name begins with an underscore.
                text = _MACRO.sub(rf"\1{_CALLED}(", entry["macro_sql"], count=1)
                module = self._environment.from_string(text, globals=self._globals).module
                made.append(getattr(module, _CALLED))
            try:
                return made[0](*args, **kwargs)
            except _Returned as returned:
                return returned.value

        return call

    def _context(self) -> dict[str, Any]:
        packages = {name: SimpleNamespace(**macros) for name, macros in self._packages.items()}
        return {
            **self._macros,
            **packages,
            "ref": self._ref,
            "source": lambda _name, table: _relation(f"{_name}.{table}"),
            "var": self._var,
            "env_var": lambda _name, default="": default,
            "config": _Config(),
            "execute": False,
            "is_incremental": lambda: False,
            "return": _return,
            "log": lambda *_args, **_kwargs: "",
            "print": lambda *_args, **_kwargs: "",
            "adapter": SimpleNamespace(dispatch=self._dispatch),
            "target": SimpleNamespace(name="duckdb", type="duckdb", schema="main", database="warehouse"),
            # What a type is called changes nothing for whoever reads the SQL.
            "api": SimpleNamespace(Column=SimpleNamespace(translate_type=lambda _type: "text")),
            "exceptions": SimpleNamespace(raise_compiler_error=_refuse),
            "modules": SimpleNamespace(re=re, datetime=datetime, itertools=itertools),
        }

    def _ref(self, *names: str, **_version: Any) -> str:
        if names[-1] not in self._relations:
            raise _Untold
        return _relation(self._relations[names[-1]])

    def _var(self, name: str, default: Any = None) -> Any:
        return self._variables.get(name, default)

    def _dispatch(self, name: str, _namespace: str | None = None, **_more: Any) -> Callable[..., Any]:
        bare = name.rpartition(".")[2]
        for prefix in _DISPATCHED:
            if prefix + bare in self._macros:
                return self._macros[prefix + bare]
        raise _Untold


class _Config:
    """What `config(…)` says is in the manifest already."""

    def __call__(self, *_args: Any, **_kwargs: Any) -> str:
        return ""

    def get(self, _name: str, default: Any = None) -> Any:
        return default


def _relations(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the relation of each node that others can refer to by its name, and by it alone.

    Of two packages, or two versions of a model, dbt knows which is meant.
    """
    nodes = [entry for entry in manifest["nodes"].values() if entry["resource_type"] in REFERABLE]
    counts = Counter(entry["name"] for entry in nodes)
    return {entry["name"]: relation_of(entry) for entry in nodes if counts[entry["name"]] == 1}


def relation_of(entry: Mapping[str, Any]) -> str:
    """Return the relation under which a node of the manifest stands in rendered SQL."""
    schema = EPHEMERAL if entry["config"].get("materialized") == "ephemeral" else entry["schema"]
    return f"{schema}.{entry['alias']}"


class _Relation(str):
    """A relation in rendered SQL, which never names its database."""

    __slots__ = ()

    def include(self, **_parts: bool) -> str:
        """Return the relation, of which dbt would leave out parts."""
        return self


def _relation(relation: str) -> str:
    return _Relation(".".join(identifier(part) for part in relation.split(".", 1)))


def _return(value: Any = None) -> NoReturn:
    raise _Returned(value)


def _refuse(_message: Any = "", *_more: Any) -> NoReturn:
    raise _Untold
