"""How does dbt get a project that it has read before? From our copy of its cache, made when first asked for.

Reading dbt's cache takes a quarter of a second, most of it to make the code that reads it. The copy stands beside the
cache and is good for this content of it only. It is Python's own format, which can run code when it is loaded: it lies
where no model can write and nobody but the user who runs us, as Python's bytecode does.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import sys
from pathlib import Path
from typing import Any


def read(cache: Path) -> Any:
    """Return the project as dbt keeps it in `cache`, ready for `dbtRunner(manifest=…)`."""
    content = cache.read_bytes()
    mark = hashlib.sha256(sys.version.encode() + content).digest()
    copy = cache.with_suffix(".pickle")
    if copy.is_file():
        made = copy.read_bytes()
        if made.startswith(mark):
            return pickle.loads(made[len(mark) :])  # noqa: S301 (nobody but us writes there, see above)
    project = _decode(content)
    aside = cache.with_suffix(".tmp")
    # That a disk is full is for the build to say, which needs more of it.
    with contextlib.suppress(OSError):
        aside.write_bytes(mark + pickle.dumps(project, protocol=pickle.HIGHEST_PROTOCOL))
        aside.replace(copy)
    return project


def _decode(content: bytes) -> Any:
    from dbt.contracts.graph.manifest import Manifest  # noqa: PLC0415 (only where dbt is imported already)
    from dbt.parser.manifest import extended_mashumuro_decoder  # noqa: PLC0415

    project: Any = Manifest.from_msgpack(content, decoder=extended_mashumuro_decoder)
    project.build_flat_graph()
    return project
