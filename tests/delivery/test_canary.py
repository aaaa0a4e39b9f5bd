from __future__ import annotations

import logging
import re
import traceback

import pytest

from tailrace.errors import JournalError
from tailrace.journal import Journal

ADDRESS = "canary.person@people.test"
NAME = "Canarina"
BODY = "welcome."
OTHERS = [f"person{n}@people.test" for n in range(4)]


@pytest.mark.parametrize("behaviour", ["", "rcpt:550", "data:451", "hang", "drop", "unrenderable", "injection"])
def test_address_name_and_words_of_a_person_are_in_no_log_output_error_journal_or_copy(
    world, post, caplog, capfd, behaviour
):
    caplog.set_level(logging.DEBUG)
    address = "canary.person@people.test>\r\nRCPT TO:<x@y.test" if behaviour == "injection" else ADDRESS
    post.inbox.behaviour[ADDRESS] = behaviour
    world.smtp(post.port, ", timeout_seconds: 0.3")
    names = ["Kim", None if behaviour == "unrenderable" else NAME, "Kim", "Kim", "Kim"]
    world.apply([OTHERS[0], address, *OTHERS[1:]], names=names)
    world.go_live()
    done = world.deliver()
    assert done.messages.claimed == 5
    with Journal.open(world.settings) as journal:
        journal.start_epoch(world.now)
        with pytest.raises(JournalError) as caught:
            journal.fence(1)
        told = [repr(done), repr(journal.unknown()), "".join(traceback.format_exception(caught.value))]
        told += [repr(journal.mirror(table, 0).to_pylist()) for table in ("intents", "outcomes")]
    files = [*world.settings.journal.parent.glob("journal.sqlite*"), world.settings.journal_copy]
    told += [path.read_bytes().decode("latin-1") for path in files]
    # aiosmtpd logs what it hears; it is the other side.
    told += [record.getMessage() for record in caplog.records if not record.name.startswith("mail")]
    told += list(capfd.readouterr())
    everything = "\n".join(told)
    assert not re.search(r"canary\.person|canarina|people\.test", everything, re.IGNORECASE)
    assert BODY not in everything
    if behaviour == "injection":
        assert set(post.inbox.taken) == set(OTHERS)


def test_a_failure_inside_rendering_shows_no_value_in_its_traceback_or_code(world, post):
    world.smtp(post.port)
    world.apply([ADDRESS], names=[f"=?utf-8?q?{NAME}?="])
    world.go_live()
    done = world.deliver()
    assert done.messages.rejected == 1
    assert NAME not in repr(done)
