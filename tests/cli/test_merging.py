"""A merge is seen in the plan before it is applied, and explained under either of the two ids afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tailrace import engine, ids
from tailrace.clock import iso
from tailrace.pipeline.evidence import evidence
from tailrace.planning.store import Store
from tests.cli.conftest import people
from tests.installation import Installation, call


def user_ids(day: Installation, *keys: int) -> list[str]:
    with engine.connect(day.settings) as connection:
        engine.attach(connection, day.settings.published, "published")
        rows = connection.execute("select person_id, user_id from published.core.dim_people").fetchall()
    return [dict(rows)[key] for key in keys]


@pytest.mark.torture
def test_a_merge_is_listed_with_what_it_does_to_messages_and_told_under_both_ids(
    day: Installation, next_day: str, tmp_path: Path
) -> None:
    """Two people who both just got a campaign's message turn out to be one."""
    plan = Store(day.settings).read("HEAD")
    active = Store(day.settings).table(plan, "enrollments:trial_conversion").to_pylist()
    resting = sorted(row["person_id"] for row in active if row["status"] == "active")
    new_key, old_key = resting[:2]
    old, new = user_ids(day, old_key, new_key)
    alias = {"type": "alias", "messageId": "merged", "previousId": old, "userId": new, "timestamp": next_day}
    file = tmp_path / "aliases.jsonl"
    file.write_text(json.dumps(alias) + "\n", encoding="utf-8")
    merging = day.copy(tmp_path / "data")
    merging.drop(file)

    planned = call(merging, "plan", "--as-of", next_day)
    told = call(merging, "plan", "--as-of", next_day, "--json").json["merges"]

    assert planned.code == 0, planned.err
    shown = planned.out.partition("\nMerges\n")[2]
    assert all(str(key) in shown for key in (old_key, new_key))
    assert "ends: they have another" in shown
    assert told["merged"] == [{"person_id": old_key, "into_person_id": new_key}]
    ended = told["campaigns"]["trial_conversion"]["ended"]
    assert sum(row["people"] for row in ended) == 1
    assert all(message in shown for row in ended for message in row["unsaid"])
    effects = [row["effect"] for row in told["effects"] if row["campaign"] == "trial_conversion"]
    assert effects.count("ends") == 1

    assert call(merging, "run", "--as-of", next_day).code == 0
    assert Store(merging.settings).read("HEAD").counts["people"] == plan.counts["people"] - 1
    stories = [call(merging, "explain", user, "--json").json for user in (old, new, str(old_key))]
    assert [story["asked"] for story in stories] == [old_key, None, old_key]
    assert all(story["person_id"] == new_key and story["also"] == [old_key] for story in stories)
    assert {row["person_id"] for row in stories[0]["verdicts"]} == {old_key, new_key}
    assert {row["status"] for row in stories[0]["enrollments"] if row["campaign"] == "trial_conversion"} >= {"merged"}
    store = Store(merging.settings)
    with evidence(merging.settings, store, store.read("HEAD"), new_key) as known:
        assert engine.row(known.connection, "select count(*) from wh.core.fct_events") == (stories[0]["n_events"],)
    # A plan from before the merge decided about each of the two.
    then = [
        call(merging, "explain", user, "--campaign", "trial_conversion", "--at", iso(plan.as_of), "--json").json
        for user in (old, new)
    ]
    assert [reasons["person_id"] for reasons in then] == [old_key, new_key]
    now = call(merging, "explain", old, "--campaign", "trial_conversion", "--json").json
    assert now["person_id"] == new_key
    previews = [call(merging, "campaign", "preview", "trial_conversion", "--as", user) for user in (old, new)]
    assert previews[0] == previews[1]
    assert previews[0].code == 0
    assert f"person {old_key}, who was asked for, is person {new_key} now" in call(merging, "explain", old).out
    assert old_key not in people(merging, "send")
    assert "Merges" not in call(merging, "plan", "HEAD~1").out
    assert ids.person_id(old) == old_key
