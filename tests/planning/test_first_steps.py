from tests.planning.world import DAY, START, World, campaign


def test_a_first_appearance_is_a_baseline_that_sends_nothing(world: World) -> None:
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_trial", "ada", "ben")
    world.campaigns = [campaign()]

    plan = world.plan(START)

    assert world.rows(plan, "changes", "change", "cause") == [("entered", "baseline")] * 2
    assert world.verdicts(plan) == [("ada", "(entry)", "skip", "baseline"), ("ben", "(entry)", "skip", "baseline")]
    assert plan.counts["send"] == 0


def test_who_enters_by_behaviour_gets_the_message_once(world: World) -> None:
    for user in ("ada", "ben"):
        world.person(user)
    world.segment("seg_trial", "ada")
    world.campaigns = [campaign()]
    world.plan(START)
    world.segment("seg_trial", "ada", "ben")

    second = world.plan(START + DAY)
    third = world.plan(START + 2 * DAY)

    assert world.verdicts(second) == [("ben", "hello", "send", None)]
    assert world.verdicts(third) == []
    assert world.rows(third, "enrollments:welcome", "status", "step") == [("completed", None)]
