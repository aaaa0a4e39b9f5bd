"""Events that belong to nobody are counted and listed, none twice."""

from __future__ import annotations

from tests.installation import Installation, call


def test_what_belongs_to_nobody_is_counted_and_listed_by_id(day: Installation) -> None:
    told = call(day, "orphans", "--json").json
    shown = call(day, "orphans", "--limit", "1")

    assert shown.code == 0, shown.err
    orphans = sum(row["n_orphans"] for row in told["counts"])
    assert orphans > 0
    assert 0 < sum(row["n_events"] for row in told["ids"]) <= orphans
    assert all(row["n_events"] == row["n_tracks"] + row["n_pages"] for row in told["ids"])
    sources = {row["source"] for row in told["ids"]}
    for source in sources:
        mine = [row for row in told["ids"] if row["source"] == source]
        assert len(mine) <= 100
        assert [row["n_events"] for row in mine] == sorted((row["n_events"] for row in mine), reverse=True)
        first, *others = [row["anonymous_id"] or "(no id at all)" for row in mine]
        assert first in shown.out
        assert not [name for name in others if name in shown.out]
