from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tailrace.settings import Settings
from tailrace.warehouse.build import build
from tests.installation import read_before
from tests.warehouse.cast import PROJECT, call, land, track
from tests.warehouse.conftest import AS_OF, Built

SEGMENTS = {
    "ever": ("performed('exported')", {"ann", "bob", "cid"}),
    "often": ("performed('exported', at_least=2)", {"ann", "bob"}),
    "exactly_two": ("performed('exported', at_least=2, at_most=2)", {"bob"}),
    "at_most_two": ("performed('exported', at_least=0, at_most=2)", {"bob", "cid", "dan"}),
    "anything": ("performed('exported', at_least=0)", {"ann", "bob", "cid", "dan"}),
    "lately": ("performed('exported', within='36 hours')", {"ann"}),
    "not_lately": ("not_performed('exported', within='36 hours')", {"bob", "cid", "dan"}),
    "never": ("not_performed('exported')", {"dan"}),
    "as_pdf": ("""performed('exported', where=property('format') ~ " = 'pdf'")""", {"bob"}),
    "saw_a_page": ("performed('exported', type='page')", {"dan"}),
    "quoted": ("""performed("it's done")""", {"dan"}),
}

EVENTS = [
    track("ann", "exported", "2026-01-01T00:00:00Z", format="csv"),
    track("ann", "exported", "2026-02-01T00:00:00Z", format="csv"),
    track("ann", "exported", "2026-02-27T18:00:01Z", format="csv"),
    track("bob", "exported", "2026-02-01T00:00:00Z", format="csv"),
    track("bob", "exported", "2026-02-27T18:00:00Z", format="pdf"),
    track("cid", "exported", "2026-01-01T00:00:00Z"),
    track("cid", "exported", "2026-03-01T06:00:01Z"),
    track("dan", "Exported", "2026-02-01T00:00:00Z"),
    track("dan", "it's done", "2026-02-01T00:00:00Z"),
    call("page", "2026-02-28T00:00:00Z", "dan", name="exported"),
]


@pytest.fixture(scope="module")
def built(cast: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """One build of all the segments above; AS_OF is 1 March, 06:00."""
    folder = tmp_path_factory.mktemp("performed")
    shutil.copytree(PROJECT, folder / "project")
    for name, (condition, _) in SEGMENTS.items():
        (folder / "project/models/segments" / f"seg_{name}.sql").write_text(
            f"-- One row per person.\nselect people.person_id from {{{{ ref('dim_people') }}}} as people\n"
            f"where {{{{ {condition} }}}}\n"
        )
    own = replace(cast.settings, data_dir=folder / "data", project_dir=folder / "project")
    settings = read_before(own, cast.settings)
    loads = (land(folder / "landing", EVENTS),)
    generation = build(settings, AS_OF, loads)
    assert generation.failed == {}
    return Built(settings, generation, loads)


@pytest.mark.parametrize("name", SEGMENTS)
def test_performed_selects_whom_it_says(built: Built, name: str) -> None:
    assert built.members(f"seg_{name}") == SEGMENTS[name][1]


@pytest.mark.parametrize(
    ("condition", "complaint"),
    [
        ("performed('exported', within='a week')", "`a week` is not a length of time"),
        ("performed('exported', at_least=3, at_most=2)", "0 <= at_least <= at_most"),
        ("performed('exported', at_least='3')", "at_least and at_most are whole numbers"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_the_reason(
    parsed: Settings, project: Callable[[dict[str, str]], Path], condition: str, complaint: str
) -> None:
    text = f"select people.person_id from {{{{ ref('dim_people') }}}} as people where {{{{ {condition} }}}}"
    own = replace(parsed, project_dir=project({"models/segments/seg_odd.sql": text}))
    with pytest.raises(Exception, match=r"seg_odd\.sql") as raised:
        build(own, AS_OF, [])
    assert complaint in str(raised.value)
