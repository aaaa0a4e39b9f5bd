"""One person's address, name and mail, looked for everywhere they must not be, while everything around them fails."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import Company
from tests.installation import PROJECT, Done, Installation, at, call
from tests.torture import ground
from tests.torture.post import Post

pytestmark = [pytest.mark.torture, pytest.mark.slow, pytest.mark.timeout(300)]

CANARY = "canary-7f3a"
ADDRESS = "canary-7f3a@canary.example"
REFUSED = "canary-refused@canary.example"
PERSONAL = re.compile(r"canary\.example|canarina|zwitscher", re.IGNORECASE)

# What holds people's data because it is its place: everything else in the data directory may not.
THEIR_PLACE = ("landing/", "inbox/", "outbox/", "plans/objects/", "warehouse.duckdb", "published.duckdb")

BROKEN_MODEL = """-- One row per person of nothing: the cast fails, and DuckDB says on which value.
{{{{ config(meta={meta}) }}}}

select
    person_id{more},
    cast(email as integer) as {column}
from {{{{ ref('dim_people') }}}}
where user_id = 'canary-7f3a'
"""

CAMPAIGN = """purpose: Fail while rendering, on a value that an event brought
owner: growth@example.com
status: live
class: transactional
priority: 10
trigger:
  event: signed_up
  late: 3d
repeat: never
sending: automatic
expires: 48h
steps:
  - send: broken
"""

TEMPLATE = """---
subject: Hello {{ customer.first_name }}
preheader: Hello
---
Hello {{ customer.first_name }}, twice your seats are {{ event.seats * 2 }}.
"""


@dataclass
class Story:
    """What was said while the canary lived through it."""

    installation: Installation
    post: Post
    said: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def tell(self, *command: str) -> None:
        """Run the command line in this process; what it says past Python's own streams is heard too."""
        with tempfile.TemporaryFile() as beneath:
            with descriptors(beneath.fileno()):
                done = call(self.installation, *command)
            beneath.seek(0)
            self.hear(command, done, beneath.read().decode("utf-8", "replace"))

    def tell_alone(self, *command: str, **environment: str) -> None:
        """Run the command line in a process of its own."""
        self.hear(command, self.installation.forked(*command, **environment))

    def hear(self, command: Sequence[str], done: Done, more: str = "") -> None:
        name = f"{len(self.said)} {' '.join(command[:2])}"
        self.said[name] = done.out + done.err + more
        self.codes[name] = done.code


@contextmanager
def descriptors(target: int) -> Iterator[None]:
    """Lead what is written to the descriptors of standard output and error to `target`."""
    kept = [os.dup(stream) for stream in (1, 2)]
    for stream in (1, 2):
        os.dup2(target, stream)
    try:
        yield
    finally:
        for stream, before in zip((1, 2), kept, strict=True):
            os.dup2(before, stream)
            os.close(before)


def persona() -> list[dict[str, object]]:
    return list(YAML(typ="safe").load((PROJECT / "personas" / f"{CANARY}.yml").read_text())["events"])


def landed_lines(moment: str) -> str:
    """Return the canary's own events, another person's who is refused, and lines that cannot be landed."""
    good = [dict(event) | {"timestamp": moment, "properties": {"seats": ADDRESS}} for event in persona()]
    refused = [json.loads(json.dumps(line).replace(CANARY, "canary-refused")) for line in good]
    known = {"type": "track", "event": "x", "userId": CANARY, "timestamp": moment}
    bad = [
        f'{{"type": "identify", "userId": "{CANARY}", "traits": {{"email": "{ADDRESS}"',
        json.dumps(known | {"timestamp": ADDRESS}),
        json.dumps(known | {"type": ADDRESS}),
        json.dumps(known | {"type": "identify", "traits": [ADDRESS, "Canarina"]}),
        json.dumps(known | {"userId": {"email": ADDRESS}}),
        f'{{"type": "track", "{ADDRESS}": 1, "{ADDRESS}": 2, "event": "x", "userId": "{CANARY}"}}',
        f"{ADDRESS},Canarina,Zwitscher",
        json.dumps(known | {"event": None, "properties": {"email": ADDRESS}}),
    ]
    twice = [json.dumps(known | {"messageId": "same", "properties": {"email": value}}) for value in (ADDRESS, REFUSED)]
    return "\n".join([*map(json.dumps, good), *map(json.dumps, refused), *bad, *twice]) + "\n"


def break_things(project: Path) -> None:
    models = project / "models"
    (models / "segments" / "seg_broken.sql").write_text(
        BROKEN_MODEL.format(meta="{'owner': 'x@example.com', 'summary': 'Broken'}", more="", column="broken")
    )
    meta = (
        "{'owner': 'x@example.com', 'destination': 'crm_webhook', 'target': 'broken', 'mode': 'mirror',"
        " 'keys': ['user_id']}"
    )
    (models / "syncs" / "sync_webhook__broken.sql").write_text(
        BROKEN_MODEL.format(meta=meta, more=",\n    user_id", column="broken").replace("    person_id,\n", "")
    )
    folder = project / "campaigns" / "broken"
    folder.mkdir()
    (folder / "campaign.yml").write_text(CAMPAIGN)
    (folder / "broken.email.md").write_text(TEMPLATE)


@pytest.fixture(scope="module")
def story(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("canary")
    first, second = company.sample.daily[:2]
    with Post() as post:
        post.refused.add(REFUSED)
        project = ground.project(root / "project", smtp_port=post.port)
        break_things(project)
        story = Story(company.copy(root / "data", project), post)
        path = root / "canary.jsonl"
        path.write_text(landed_lines(at(first.last_on, 9).isoformat()))
        story.tell("check")
        story.tell("live", "acquire", "--reason", "torture")
        story.tell("land", str(path), "--source", "app", "--as-of", at(first.last_on, 12).isoformat())
        story.installation.drop(first.path)
        story.tell("plan", "--as-of", at(first.last_on, 13).isoformat())
        story.tell_alone("run", "--as-of", at(first.last_on, 23).isoformat(), TAILRACE_CRASH_AT="journal.applied")
        story.tell("run", "--as-of", at(first.last_on, 23).isoformat())
        story.installation.drop(second.path)
        story.tell_alone("run", "--as-of", at(second.last_on, 23).isoformat(), "--json")
        for command in (
            ["explain", CANARY],
            ["explain", CANARY, "--json"],
            ["explain", ADDRESS],
            ["quarantine", "list"],
            ["quarantine", "list", "--json"],
            ["quarantine", "retry", "--as-of", at(second.last_on, 23).isoformat()],
            ["segment", "list"],
            ["segment", "preview", "seg_new_signups_not_activated"],
            ["segment", "preview", "seg_broken"],
            ["segment", "diff", "seg_new_signups_not_activated"],
            ["campaign", "list"],
            ["campaign", "show", "onboarding"],
            ["campaign", "show", "broken", "--json"],
            ["plan", "HEAD"],
            ["plan", "HEAD", "--json"],
            ["deliver", "--as-of", at(second.last_on, 23).isoformat()],
            ["unknown", "list", "--json"],
            ["guard", "list"],
            ["live", "show"],
            ["doctor"],
            ["report"],
        ):
            story.tell(*command)
        yield story


def test_the_canary_got_the_message_and_everything_around_failed_as_meant(story: Story) -> None:
    assert ADDRESS in story.post.to.values()
    assert REFUSED not in story.post.to.values()
    body = next(story.post.bodies[intent] for intent, to in story.post.to.items() if to == ADDRESS)
    assert "Canarina" in body
    said = "\n".join(story.said.values())
    assert "seg_broken" in said
    assert "sync_webhook__broken" in said
    head = ground.head(story.installation.settings)
    assert head.segments["seg_broken"]["parked"] == "segment_failed"
    assert "quarantined" in said
    assert -9 in story.codes.values()
    outcomes = call(story.installation, "campaign", "show", "broken").out
    assert "rejected" in outcomes


def test_no_command_says_who_the_canary_is(story: Story) -> None:
    leaks = {
        name: [line for line in text.splitlines() if PERSONAL.search(line)]
        for name, text in story.said.items()
        if PERSONAL.search(text)
    }
    # What a person typed comes back to them; nothing that they did not type may.
    assert {name: lines for name, lines in leaks.items() if name.split(" ", 1)[1] != f"explain {ADDRESS}"} == {}
    for lines in leaks.values():
        assert not re.search("canarina|zwitscher", "".join(lines), re.IGNORECASE)


def test_no_file_but_the_stores_of_peoples_data_holds_the_canary(story: Story) -> None:
    root = story.installation.data_dir
    leaks = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        if not name.startswith(THEIR_PLACE) and PERSONAL.search(path.read_bytes().decode("latin-1")):
            leaks.append(name)
    assert leaks == []


def test_no_sentence_of_a_mail_is_in_any_output_log_or_report(story: Story) -> None:
    bodies = [story.post.bodies[intent] for intent, to in story.post.to.items() if to == ADDRESS]
    sentences = {line.strip() for body in bodies for line in body.splitlines() if len(line.strip()) >= 25}
    sentences = {line for line in sentences if not line.startswith(("http", "Harbour Reports Ltd"))}
    assert sentences
    root = story.installation.data_dir
    texts = dict(story.said)
    for path in (path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root).as_posix()
        if not name.startswith(THEIR_PLACE):
            texts[name] = path.read_bytes().decode("utf-8", "replace")
    assert [name for name, text in texts.items() if any(sentence in text for sentence in sentences)] == []
