from __future__ import annotations

from tailrace.campaigns.definition import RenderError

PEOPLE = [f"person{n}@people.test" for n in range(6)]


def test_everyone_is_sent_one_message_and_a_second_delivery_sends_nothing(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert done.messages.counts() | {"claimed": 6, "accepted": 6} == done.messages.counts()
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)
    again = world.deliver()
    assert again.messages.claimed == 0
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_a_connection_is_used_for_the_whole_run(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    world.deliver()
    assert post.inbox.connections == 1


def test_one_refused_recipient_takes_no_neighbour_along(world, post):
    post.inbox.behaviour[PEOPLE[2]] = "rcpt:550"
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.rejected) == (5, 1)
    assert world.states()[PEOPLE[2]] == "rejected"
    assert world.codes(PEOPLE[2])[-1] == "rejected:smtp_550_rcpt"


def test_a_greylisted_recipient_is_tried_again_and_gets_it_once(world, post):
    post.inbox.behaviour[PEOPLE[0]] = "rcpt:451"
    post.inbox.behaviour[PEOPLE[1]] = "data:452"
    world.smtp(post.port)
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.retry_later) == (4, 2)
    post.inbox.behaviour.clear()
    assert world.deliver().messages.claimed == 0, "not before its time"
    world.later(minutes=2)
    assert world.deliver().messages.accepted == 2
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_a_recipient_that_is_always_put_off_is_given_up_with_the_code(world, post):
    post.inbox.behaviour[PEOPLE[0]] = "rcpt:451"
    world.smtp(post.port)
    world.apply(PEOPLE[:1])
    world.go_live()
    for _ in range(8):
        world.deliver()
        world.later(hours=7)
    assert world.states()[PEOPLE[0]] == "rejected"
    assert world.codes(PEOPLE[0])[-1] == "rejected:gave_up:smtp_451_rcpt"


def test_a_server_that_closes_at_every_recipient_is_left_alone_after_three(world, post):
    for address in PEOPLE:
        post.inbox.behaviour[address] = "rcpt:421"
    world.smtp(post.port, ", slots: 6")
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert (done.messages.retry_later, done.messages.blocked) == (3, 3)
    assert done.stopped == {"relay": "smtp_421_rcpt"}
    post.inbox.behaviour.clear()
    world.later(minutes=6)
    assert world.deliver().messages.accepted == 6
    assert post.inbox.taken == dict.fromkeys(PEOPLE, 1)


def test_no_answer_after_the_dot_is_unknown_and_never_sent_again(world, post):
    post.inbox.behaviour[PEOPLE[1]] = "hang"
    post.inbox.behaviour[PEOPLE[3]] = "drop"
    world.smtp(post.port, ", timeout_seconds: 0.3")
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.unknown) == (4, 2)
    assert world.codes(PEOPLE[1])[-1] == "unknown:end:timeout"
    assert world.codes(PEOPLE[3])[-1] == "unknown:end:reset"
    post.inbox.behaviour.clear()
    world.later(days=1)
    assert world.deliver().messages.claimed == 0
    world.apply(["somebody.else@people.test"], "plan2")
    assert world.deliver().messages.claimed == 1
    assert post.inbox.taken == dict.fromkeys([*PEOPLE, "somebody.else@people.test"], 1)


def test_a_server_that_is_not_there_costs_nobody_a_try(world, post):
    world.smtp(1)
    world.apply(PEOPLE)
    world.go_live()
    for _ in range(10):
        done = world.deliver()
        assert done.stopped == {"relay": "connect:reset"}
        assert done.messages.retry_later == 3
        world.later(hours=1)
    world.smtp(post.port)
    assert world.deliver().messages.accepted == 6


def test_a_failing_destination_does_not_stop_another(world, post):
    world.destinations(
        "connections:\n  relay: {type: smtp, host: 127.0.0.1, port: 1, security: none}\n"
        "  files: {type: outbox}\nchannels: {email: relay}\n"
    )
    world.apply(PEOPLE, sync_rows=3, destination="files")
    world.go_live()
    done = world.deliver()
    assert done.messages.accepted == 0
    assert done.rows.accepted == 3


def test_what_is_too_late_is_expired_not_sent(world, post):
    from datetime import timedelta

    world.smtp(post.port)
    world.apply(PEOPLE, expires=timedelta(hours=1))
    world.go_live()
    world.later(hours=2)
    done = world.deliver()
    assert done.messages.expired == 6
    assert not post.inbox.taken
    assert set(world.states().values()) == {"expired"}


def test_the_rendered_words_and_the_link_arrive(world, post):
    world.smtp(post.port)
    world.apply(["zoe@people.test"], names=["Zoë"])
    world.go_live()
    world.deliver()
    from email import message_from_bytes
    from email.policy import default

    mail = message_from_bytes(post.inbox.bodies["zoe@people.test"], policy=default)
    assert mail["subject"] == "Hello Zoë"
    assert mail["to"] == "zoe@people.test"
    assert mail["from"] == "Acme <hello@acme.test>"
    assert mail["message-id"].startswith(f"<{world.intent_of['zoe@people.test']}@")
    assert "Dear Zoë, welcome." in mail.get_body(("plain",)).get_content()
    assert "Dear Zoë, welcome." in mail.get_body(("html",)).get_content()


def test_one_person_who_cannot_be_rendered_takes_no_neighbour_along(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE, names=["Kim", None, "Kim", "Kim", "Kim", "Kim"])
    world.go_live()
    done = world.deliver()
    assert (done.messages.accepted, done.messages.rejected) == (5, 1)
    assert world.codes(PEOPLE[1])[-1].startswith("rejected:render:missing_field")


def test_without_the_secret_of_its_links_a_message_waits(world, post):
    class Unsigned:
        def render(self, source, data, *, message_key=None):
            raise RenderError("no_secret")

    world.smtp(post.port)
    world.apply(["zoe@people.test"])
    world.go_live()
    real, world.renderer = world.renderer, Unsigned()
    assert world.deliver().messages.codes == {"blocked:render:no_secret": 1}
    world.renderer = real
    world.later(minutes=6)
    assert world.deliver().messages.accepted == 1


def test_a_time_budget_ends_the_run_between_batches(world, post):
    world.smtp(post.port, ", slots: 1")
    world.apply(PEOPLE)
    world.go_live()
    done = world.deliver(budget_seconds=0)
    assert not done.is_complete
    assert done.messages.claimed == 0
    assert world.deliver().messages.accepted == 6


def test_a_channel_without_a_connection_waits_and_is_counted(world):
    world.destinations("channels: {}\n")
    world.apply(PEOPLE)
    assert world.deliver().messages.codes == {"blocked:no_connection": 6}
    world.destinations("channels: {email: outbox}\n")
    assert world.deliver().messages.accepted == 6


def test_a_connection_that_cannot_be_opened_is_told_and_others_go_on(world, monkeypatch):
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    world.destinations(
        "connections:\n  relay: {type: smtp, host: a.test, username: u, password_env: NO_SUCH_PASSWORD}\n"
        "channels: {email: relay}\n"
    )
    world.apply(PEOPLE, sync_rows=3, destination="outbox")
    world.go_live()
    done = world.deliver()
    assert done.messages.codes == {"blocked:cannot_open": 6}
    assert done.rows.accepted == 3
    (problem,) = done.problems
    assert "`relay`" in problem
    assert "NO_SUCH_PASSWORD" in problem


def test_a_sync_to_a_destination_that_takes_no_batches_waits_and_is_counted(world, post):
    world.smtp(post.port)
    world.apply([], sync_rows=3, destination="relay")
    world.go_live()
    assert world.deliver().rows.codes == {"blocked:no_connection": 3}


def test_urgent_messages_go_first(world, post):
    world.smtp(post.port)
    world.apply(PEOPLE[:3], priority=10)
    world.apply(PEOPLE[3:], "plan2", priority=90)
    world.go_live()
    world.deliver()
    assert list(post.inbox.taken) == [*PEOPLE[3:], *PEOPLE[:3]]


def test_lines_that_begin_with_a_dot_arrive_whole_and_end_nothing(post, tmp_path):
    from tailrace.destinations import smtp
    from tailrace.destinations.base import Mail, Secrets, SmtpReply

    body = b"Subject: dots\r\n\r\n.\r\n..two\r\n.hidden\r\nMAIL FROM:<x@y.test>\r\n"
    settings = smtp.Settings(host="127.0.0.1", port=post.port, security="none")
    session = smtp.connect(settings, Secrets({}), tmp_path)
    for _ in range(2):
        assert session.perform(Mail("a@acme.test", PEOPLE[0], body)) == SmtpReply("end", 250)
    session.close()
    assert post.inbox.bodies[PEOPLE[0]] == body
    assert post.inbox.taken == {PEOPLE[0]: 2}


def test_a_kept_connection_that_the_relay_closed_is_opened_anew(post, tmp_path):
    from tailrace.destinations import smtp
    from tailrace.destinations.base import Mail, Secrets, SmtpReply

    settings = smtp.Settings(host="127.0.0.1", port=post.port, security="none")
    session = smtp.connect(settings, Secrets({}), tmp_path)
    mail = Mail("a@acme.test", PEOPLE[0], b"Subject: x\r\n\r\nx\r\n")
    assert session.perform(mail) == SmtpReply("end", 250)
    session._open.sock.shutdown(2)
    assert session.perform(mail) == SmtpReply("end", 250)
    session.close()
    assert post.inbox.taken == {PEOPLE[0]: 2}
