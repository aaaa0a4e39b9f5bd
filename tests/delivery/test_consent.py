"""What was withdrawn since the plan is asked again at the call."""

from __future__ import annotations

import pytest
from delivery_world import World, withdrawn

KIM, LEE = "kim@people.test", "lee@people.test"


@pytest.mark.parametrize(
    ("klass", "topic", "said", "code"),
    [
        ("marketing", "tips", {}, "unsubscribed"),
        ("marketing", None, {}, "unsubscribed"),
        ("marketing", "tips", {"channel": "email"}, "unsubscribed"),
        ("marketing", "tips", {"channel": "sms"}, None),
        ("marketing", "tips", {"topic": "tips", "reason": "unsubscribed_topic"}, "unsubscribed_topic"),
        ("marketing", "tips", {"topic": "news"}, None),
        ("marketing", None, {"topic": "news"}, None),
        ("transactional", None, {}, None),
        ("transactional", None, {"klass": "", "reason": "suppressed"}, "suppressed"),
        ("marketing", "tips", {"klass": "", "reason": "suppressed"}, "suppressed"),
        ("staff", None, {"klass": "", "reason": "suppressed"}, None),
        ("action", None, {"klass": "", "reason": "suppressed"}, None),
    ],
)
def test_what_was_withdrawn_holds_for_its_channel_its_topic_and_its_class_only(world, post, klass, topic, said, code):
    world.smtp(post.port)
    world.apply([KIM, LEE], klass=klass, topic=topic, consents=(withdrawn(KIM, **said),))
    world.go_live()
    done = world.deliver()
    assert post.inbox.taken[LEE] == 1
    assert post.inbox.taken[KIM] == (1 if code is None else 0)
    assert done.messages.codes.get(f"cancelled:{code}", 0) == done.messages.cancelled == (0 if code is None else 1)
    assert world.codes(KIM)[-1].split(":")[0] == ("accepted" if code is None else "cancelled")


def test_of_several_reasons_the_one_that_holds_for_everything_is_named(world, post):
    world.smtp(post.port)
    said = (
        withdrawn(KIM, topic="tips", reason="unsubscribed_topic"),
        withdrawn(KIM, reason="unsubscribed"),
        withdrawn(KIM, klass="", reason="suppressed"),
    )
    world.apply([KIM], topic="tips", consents=said)
    world.go_live()
    assert world.deliver().messages.codes == {"cancelled:suppressed": 1}


def test_the_newest_plans_word_counts_for_a_message_of_an_older_plan(world, post):
    world.smtp(post.port)
    world.apply([KIM], topic="tips")
    world.apply([LEE], "plan2", topic="tips", consents=(withdrawn(KIM, topic="tips", reason="unsubscribed_topic"),))
    world.go_live()
    world.deliver()
    assert post.inbox.taken == {LEE: 1}
    assert world.states() == {KIM: "cancelled", LEE: "accepted"}


def test_who_takes_their_consent_back_while_a_delivery_goes_on_hears_nothing_more(world, post):
    world.smtp(post.port, ", slots: 1")
    world.apply([KIM, LEE])
    world.go_live()
    render = world.renderer.render

    def render_while_a_run_applies_its_plan(*args, **kwargs):
        if not (world.settings.plans / "plan2").exists():
            world.apply(["sam@people.test"], "plan2", consents=(withdrawn(LEE),))
        return render(*args, **kwargs)

    world.renderer.render = render_while_a_run_applies_its_plan
    done = world.deliver()

    assert post.inbox.taken[KIM] == 1
    assert post.inbox.taken[LEE] == 0
    assert done.messages.codes["cancelled:unsubscribed"] == 1
    assert world.states()[LEE] == "cancelled"


def test_a_draft_is_asked_about_when_it_is_sent_not_when_it_is_approved(world, post):
    world.smtp(post.port)
    world.apply([KIM], is_draft=True)
    world.apply([LEE], "plan2", consents=(withdrawn(KIM),))
    world.go_live()
    world.approve(KIM)
    assert world.deliver().messages.codes == {"accepted:smtp_250_end": 1, "cancelled:unsubscribed": 1}
    assert post.inbox.taken == {LEE: 1}


def test_a_plan_of_an_older_tailrace_still_keeps_marketing_from_whom_it_named(tmp_path):
    from dataclasses import replace
    from datetime import UTC, datetime

    from tailrace import engine
    from tailrace.planning.reader import PlanReader
    from tailrace.planning.store import Inputs, Plan, Store

    world = World(tmp_path)
    store = Store(world.settings)
    plan = Plan(None, datetime(2026, 3, 1, tzinfo=UTC), "scheduled", Inputs("", "", "", 0, ()), {})
    with engine.connect(world.settings) as connection:
        piece = store.put(connection, "select 7::bigint as person_id union all select 9 order by 1")
    older = store.save(replace(plan, relations={"suppressed": (piece,)}))
    row = {"channel": "", "topic": "", "class": "marketing", "reason": "unsubscribed"}
    assert PlanReader(store).consents(older).to_pylist() == [{"person_id": 7} | row, {"person_id": 9} | row]
    assert PlanReader(store).consents(store.save(plan)).num_rows == 0
