"""What does dbt know from the run before? The project as it read it, and the code that its templates are.

Reading dbt's own cache takes a quarter of a second, most of it to make the code that reads it; Jinja takes as long to
make code of macros and models. Both are kept beside the cache, the project for this content of it only, a template for
its text only. They are in Python's own formats, which can run code when they are loaded: they lie where no model can
write and nobody but the user who runs us, as Python's bytecode does.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import pickle
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any


def read(cache: Path) -> Any:
    """Return the project as dbt keeps it in `cache`, ready for `dbtRunner(manifest=…)`."""
    content = cache.read_bytes()
    copy, mark = cache.with_suffix(".pickle"), _mark(content)
    kept = _kept(copy, mark)
    if kept is not None:
        return pickle.loads(kept)  # noqa: S301 (nobody but us writes there, see above)
    project = _decode(content)
    _keep(copy, mark, pickle.dumps(project, protocol=pickle.HIGHEST_PROTOCOL))
    return project


class Templates:
    """The code of templates, by their text and the environment that they are for."""

    def __init__(self, cache: Path) -> None:
        """Take what an earlier run has left beside `cache`."""
        self._file = cache.with_suffix(".templates")
        self._mark = _mark(*(f"{name} {version(name)}".encode() for name in ("jinja2", "dbt-common")))
        kept = _kept(self._file, self._mark)
        self._held: dict[str, CodeType] = {} if kept is None else marshal.loads(kept)  # noqa: S302 (see above)
        self._used: dict[str, CodeType] = {}

    def lend(self) -> None:
        """Have dbt's Jinja make code only of what is not there."""
        environment: Any = import_module("dbt_common.clients.jinja").MacroFuzzEnvironment
        make = environment.compile

        def compile_(self_: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
            if args or kwargs or not isinstance(source, str):
                return make(self_, source, *args, **kwargs)
            key = f"{type(self_).__qualname__} {source}"
            if key not in self._used:
                self._used[key] = self._held.get(key) or make(self_, source)
            return self._used[key]

        environment.compile = compile_

    def leave(self) -> None:
        """Leave what was used to the next run, if that is more than there was."""
        if self._used.keys() - self._held.keys():
            _keep(self._file, self._mark, marshal.dumps(self._used))


def _decode(content: bytes) -> Any:
    from dbt.contracts.graph.manifest import Manifest  # noqa: PLC0415 (only where dbt is imported already)
    from dbt.parser.manifest import extended_mashumuro_decoder  # noqa: PLC0415

    project: Any = Manifest.from_msgpack(content, decoder=extended_mashumuro_decoder)
    project.build_flat_graph()
    return project


def _mark(*of: bytes) -> bytes:
    return hashlib.sha256(b"\n".join((sys.version.encode(), *of))).digest()


def _kept(file: Path, mark: bytes) -> bytes | None:
    """Return what was kept under this mark, or None."""
    content = file.read_bytes() if file.is_file() else b""
    return content[len(mark) :] if content.startswith(mark) else None


def _keep(file: Path, mark: bytes, content: bytes) -> None:
    aside = file.with_name(f"{file.name}.tmp")
    # That a disk is full is for the build to say, which needs more of it.
    with contextlib.suppress(OSError):
        aside.write_bytes(mark + content)
        aside.replace(file)
