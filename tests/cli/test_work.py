"""The work of an operator and of a marketer, done with the command line on a real installation."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace import engine
from tailrace.clock import iso
from tailrace.planning.store import Store
from tests.cli.conftest import Planned, people
from tests.conftest import Company
from tests.installation import PROJECT, Installation, at, call

Edit = Callable[[str, str, str], Path]


def user_id(installation: Installation, person_id: int) -> str:
    with engine.connect(installation.settings) as connection:
        engine.attach(connection, installation.settings.published, "published")
        row = connection.execute(
            "select user_id from published.core.dim_people where person_id = $person", {"person": person_id}
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.slow
def test_plan_apply_and_deliver_do_what_a_run_does(
    day: Installation, planned: Planned, next_day: str, tmp_path: Path
) -> None:
    installation, told = planned.installation.copy(tmp_path / "data"), planned.told
    head = Store(day.settings).head()

    assert (told["parent"], told["is_new"], told["exit_code"]) == (head, True, 0)
    assert Store(installation.settings).head() == head
    assert told["campaigns"]["onboarding"]["messages"]["welcome"]["send"] > 0
    assert all(balance["holds"] for balance in told["balances"])

    applied = call(installation, "apply", planned.plan_id[:8], "--json").json
    again = call(installation, "apply", planned.plan_id, "--json").json
    assert applied["steps"]["apply"]["intents"] == told["counts"]["send"]
    assert again["steps"]["apply"]["intents"] == 0

    delivered = call(installation, "deliver", "--as-of", next_day, "--json").json
    assert delivered["steps"]["deliver"]["messages"]["accepted"] == told["counts"]["send"]
    assert call(installation, "run", "--as-of", next_day, "--json").json["is_new"] is False


def test_a_plan_is_a_table_and_says_how_to_apply_it(day: Installation) -> None:
    plan_id = Store(day.settings).head()
    parent = Store(day.settings).read("HEAD").parent
    assert parent is not None

    shown, older = call(day, "plan", "HEAD"), call(day, "plan", parent)

    for words in (f"plan {plan_id}", "Campaigns", "Segments", "Syncs", "Guards", "considered ="):
        assert words in shown.out
    assert shown.err == ""
    assert f"tailrace apply {parent}" not in shown.out
    assert "was in the segment when tailrace first saw it" in older.out
    assert max(len(line) for line in (shown.out + older.out).splitlines()) <= 120


def test_a_plan_whose_inputs_moved_is_not_applied(company: Company, planned: Planned, tmp_path: Path) -> None:
    installation = planned.installation.copy(tmp_path / "data")
    file = company.sample.daily[2]
    landed = call(installation, "land", str(file.path), "--source", "app", "--json").json
    assert landed["lines"] == landed["landed"] + landed["duplicate"] + landed["quarantined"] == file.lines

    done = call(installation, "apply", planned.plan_id)
    again = call(installation, "land", str(file.path), "--source", "app")

    assert done.code == 1
    assert "the loads changed" in done.err
    assert again.out.startswith("0 lines read = 0 landed")
    assert "not read again: 1" in again.err


@pytest.mark.slow
@pytest.mark.torture
def test_a_tripped_guard_is_told_listed_and_released_once(
    company: Company, day: Installation, next_day: str, tmp_path: Path, project: Edit
) -> None:
    copy = project("policy.yml", "  overrides:\n", "  overrides:\n    seg_power_users: {segment_minimum: 100000}\n")
    installation = day.copy(tmp_path / "data", copy)

    run = call(installation, "run", "--as-of", next_day)

    assert run.code == 3
    assert "tailrace guard release segment_minimum segment:seg_power_users --reason" in run.out
    assert "`tailrace guard list`" in run.err
    first = next(line for line in call(installation, "guard", "list").out.splitlines()[1:])
    assert first.split()[:2] == ["segment_minimum", "segment:seg_power_users"]
    assert first.endswith("parked")

    mistyped = call(installation, "guard", "release", "segment_minimum", "segment:seg_power_user", "--reason", "x")
    assert (mistyped.code, "Did you mean" in mistyped.err) == (1, True)
    wanted = ("guard", "release", "segment_minimum", "segment:seg_power_users", "--reason", "we are small")
    released = call(installation, *wanted, "--json").json
    assert (released["reason"], released["subject"]) == ("we are small", "segment:seg_power_users")

    again = call(installation, "run", "--as-of", next_day, "--json")
    assert (again.code, again.json["tripped"]) == (0, [])
    assert "released" in call(installation, "guard", "list").out
    later = iso(at(company.sample.daily[2].last_on, 23))
    assert call(installation, "run", "--as-of", later).code == 3


@pytest.mark.torture
def test_a_line_in_quarantine_lands_after_its_contract_is_mended(
    day: Installation, tmp_path: Path, project: Edit
) -> None:
    copy = project("contracts/sources/shop.yml", "", "format: segment\ntimestamps: {from: 2030-01-01}\n")
    installation = day.copy(tmp_path / "data", copy)
    file = tmp_path / "shop.jsonl"
    file.write_text(
        '{"type":"track","event":"bought","userId":"u\\u001b[31m1","timestamp":"2024-05-01T00:00:00Z"}\n'
        '{"type":"track","event":"bo\n',
        encoding="utf-8",
    )

    landed = call(installation, "land", str(file), "--source", "shop")

    assert "2 lines read = 0 landed + 0 duplicate + 2 quarantined" in landed.out
    assert "`tailrace quarantine list`" in landed.err
    listed = call(installation, "quarantine", "list", "--source", "shop", "--json").json
    assert [(row["line"], row["reason"]) for row in listed] == [(1, "time_implausible"), (2, "cut_short")]
    shown = call(installation, "quarantine", "show", listed[1]["id"])
    assert '"event":"bo' in shown.out

    (copy / "contracts/sources/shop.yml").write_text("format: segment\n", encoding="utf-8")
    retried = call(installation, "quarantine", "retry", "--source", "shop")
    assert "2 lines tried = 1 landed + 0 duplicate + 1 still in quarantine" in retried.out
    left = call(installation, "quarantine", "list", "--source", "shop", "--json").json
    assert [row["reason"] for row in left] == ["cut_short"]


@pytest.mark.torture
def test_an_edit_of_a_segment_is_seen_before_it_is_built(day: Installation, tmp_path: Path, project: Edit) -> None:
    name, path = "seg_activated", "models/segments/seg_activated.sql"
    installation = day.copy(tmp_path / "data", project(path, "", "    and false\n"))
    size = next(row["size"] for row in call(day, "segment", "list", "--json").json if row["name"] == name)
    assert size > 0

    seen = call(installation, "segment", "preview", name, "--json").json
    diff = call(installation, "segment", "diff", name, "--limit", "1")

    assert (seen["size"], seen["sample"]) == (0, [])
    assert f"{size} before, 0 now: 0 enter, {size} leave" in diff.out
    assert "would be held" in diff.out
    unchanged = call(day, "segment", "diff", name, "--json").json
    assert (unchanged["n_entered"], unchanged["n_left"], unchanged["is_edited"]) == (0, 0, False)

    project(path, "and false", "and nothing_there > 1")
    broken = call(installation, "segment", "preview", name)
    assert broken.code == 1
    assert f"{name} does not run" in broken.err
    assert "nothing_there" in broken.err


@pytest.mark.torture
def test_what_a_build_would_refuse_of_a_segment_its_preview_refuses(
    day: Installation, tmp_path: Path, project: Edit
) -> None:
    name, path = "seg_activated", "models/segments/seg_activated.sql"
    copy = project(path, "", "")
    installation = day.copy(tmp_path / "data", copy)
    everybody = "select person_id from {{ ref('dim_people') }}"
    told = {}
    for command, sql in (
        ("preview", f"{everybody} union all {everybody}"),
        ("diff", f"{everybody} union all select null"),
        ("preview", "select user_id, person_id from {{ ref('dim_people') }}"),
    ):
        (copy / path).write_text(f"{sql}\n", encoding="utf-8")
        done = call(installation, "segment", command, name)
        assert done.code == 1
        told[sql] = done.err

    doubled, nobody, other = told.values()
    n_people = call(day, "segment", "preview", name, "--json").json["people"]
    assert f"people who stand in it more than once: {n_people:,}, such as " in doubled
    assert "rows without a person_id: 1;" in nobody
    assert "the first column is `user_id`; expected `person_id`" in other


def test_live_is_taken_shown_and_given_up(day: Installation, tmp_path: Path) -> None:
    installation = day.copy(tmp_path / "data")

    taken = call(installation, "live", "acquire", "--reason", "we go live")
    shown = call(installation, "live", "show", "--json").json
    given = call(installation, "live", "release", "--reason", "moving house")

    assert taken.out.startswith("live since ")
    assert taken.out.endswith(": we go live\n")
    assert (shown["held"], shown["reason"]) == (True, "we go live")
    assert given.out == "not live: it was released\n"
    assert call(day, "live", "show").out == "not live: it was never acquired\n"


def test_a_user_without_a_name_is_known_by_number(
    day: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 4_000_001)

    taken = call(day.copy(tmp_path / "data"), "live", "acquire", "--reason", "in a container")

    assert "by uid 4000001: in a container" in taken.out


@pytest.mark.torture
@pytest.mark.slow
def test_a_message_of_unknown_fate_is_listed_and_settled_by_a_person(
    company: Company, day: Installation, next_day: str, tmp_path: Path, project: Edit
) -> None:
    relay = "channels:\n  email: relay\n"
    copy = project("destinations.yml", "channels:\n  email: outbox", relay)
    project("destinations.yml", "connections:\n", "connections:\n  relay: {type: smtp, host: 127.0.0.1, port: 9}\n")
    installation = day.copy(tmp_path / "data", copy)
    installation.drop(company.sample.daily[1].path)
    plan_id = call(installation, "plan", "--as-of", next_day, "--json").json["plan_id"]
    assert call(installation, "apply", plan_id).code == 0
    held = call(installation, "deliver", "--as-of", next_day)
    assert "`tailrace live show`" in held.err
    call(installation, "live", "acquire", "--reason", "a test")
    died = installation.forked("deliver", "--as-of", next_day, TAILRACE_CRASH_AT="deliver.copied:1")
    assert died.code == -9

    told = call(installation, "deliver", "--as-of", next_day)
    rows = call(installation, "unknown", "list", "--json").json

    assert f"messages of unknown fate: {len(rows)}; look with `tailrace unknown list`" in told.err
    assert 1 <= len(rows) <= 4
    assert {row["code"] for row in rows} == {"sender_died"}
    assert rows[0]["intent_id"] in call(installation, "unknown", "list").out
    assert call(installation, "doctor").code == 1
    for row in rows:
        settled = call(installation, "unknown", "settle", row["intent_id"], "--outcome", "accepted", "--reason", "seen")
        assert settled.out == f"{row['intent_id']}: accepted\n"
    twice = call(installation, "unknown", "settle", rows[0]["intent_id"], "--outcome", "accepted", "--reason", "again")
    assert (twice.code, "expected one that is unknown" in twice.err) == (1, True)
    assert call(installation, "unknown", "list").out == "The fate of every message is known.\n"
    story = call(installation, "explain", str(rows[0]["person_id"])).out
    assert "settled" in story


def test_explain_tells_a_receivers_story(day: Installation) -> None:
    person = people(day, "send")[0]

    by_key = call(day, "explain", str(person), "--json").json
    by_user = call(day, "explain", user_id(day, person))

    assert by_key["n_events"] > 0
    assert [row["verdict"] for row in by_key["verdicts"]][-1] == "send"
    assert [row["what"] for row in by_key["outcomes"]] == ["applied", "claimed", "accepted"]
    assert [row["programme"] for row in by_key["states"]] == ["saas"]
    for words in (f"person {person}", "Campaigns", "Segments in and out", "Steps", "Verdicts", "Outcomes", "accepted"):
        assert words in by_user.out
    assert "@" not in by_user.out


def test_explain_needs_nothing_that_dbt_left_but_what_is_published(day: Installation, tmp_path: Path) -> None:
    installation = day.copy(tmp_path / "data")
    shutil.rmtree(installation.data_dir / "dbt")

    done = call(installation, "explain", str(people(day, "send")[0]), "--json")

    assert done.code == 0, done.err
    assert [row["programme"] for row in done.json["states"]] == ["saas"]


@pytest.mark.parametrize("column", ["email", "first_name"])
def test_explain_shows_no_personal_data(column: str, day: Installation) -> None:
    person = people(day, "send")[0]
    with engine.connect(day.settings) as connection:
        engine.attach(connection, day.settings.published, "published")
        row = connection.execute(
            f"select {column} from published.core.dim_people where person_id = {person}"
        ).fetchone()
    assert row is not None
    assert row[0]

    assert str(row[0]) not in call(day, "explain", str(person), "--json").out


def test_explain_says_why_somebody_got_nothing(day: Installation, company: Company) -> None:
    skipped = people(company.base, "skip")[0]

    story = call(day, "explain", str(skipped)).out

    assert "skip" in story
    assert "was in the segment when tailrace first saw it" in story
    assert "Nothing was ever to be handed over." in story


def test_explain_of_somebody_no_trigger_named(day: Installation) -> None:
    store = Store(day.settings)
    named = {person for verdict in ("send", "skip", "defer") for person in people(day, verdict)}
    parent = store.read("HEAD").parent
    assert parent is not None
    named |= set(store.table(store.read(parent), "verdicts").column("person_id").to_pylist())
    with engine.connect(day.settings) as connection:
        engine.attach(connection, day.settings.published, "published")
        everybody = {row[0] for row in connection.execute("select person_id from published.core.dim_people").fetchall()}

    done = call(day, "explain", str(min(everybody - named)))

    assert done.code == 0, done.err
    assert "Never considered: no trigger named this person." in done.out


def test_a_campaign_shows_its_people_and_its_messages(day: Installation) -> None:
    seen = call(day, "campaign", "show", "onboarding", "--json").json
    shown = call(day, "campaign", "show", "onboarding").out

    passes = seen["passes"]
    assert passes["ever"] == sum(passes[name] for name in ("active", "completed", "converted", "ended")) > 0
    welcome = next(step for step in seen["steps"] if step["step"] == "welcome")
    assert welcome["standing"] == {"accepted": welcome["sent"]}
    assert "wait 2 days" in shown
    assert f"{welcome['sent']} accepted" in shown


def test_a_message_is_previewed_as_a_persona_and_as_a_person(day: Installation) -> None:
    receiver = user_id(day, people(day, "send")[0])

    persona = call(day, "campaign", "preview", "onboarding", "--as", "ada-active", "--step", "welcome")
    html = call(day, "campaign", "preview", "onboarding", "--as", "ada-active", "--step", "welcome", "--html")
    person = call(day, "campaign", "preview", "onboarding", "--as", receiver, "--json").json

    assert "welcome: Welcome to Harbour, Ada" in persona.out
    assert "Unsubscribe: https://" in persona.out
    assert "<html" in html.out
    assert [message["step"] for message in person] == ["welcome", "first_project", "need_a_hand"]
    assert all(message["text"] and message["problem"] is None for message in person)


def test_a_preview_says_which_field_a_person_lacks(day: Installation) -> None:
    done = call(day, "campaign", "preview", "renewal_reminder", "--as", "olga-orphan")

    assert done.code == 0, done.err
    assert "cannot be sent: this person lacks segment.renewal_at" in done.out


def test_a_preview_of_a_broadcast_to_a_segment_knows_the_segments_columns(day: Installation, tmp_path: Path) -> None:
    project = Path(shutil.copytree(day.project_dir, tmp_path / "project"))
    file = project / "campaigns" / "renewal_reminder" / "campaign.yml"
    said = file.read_text(encoding="utf-8")
    broadcast = "trigger:\n  broadcast: {segment: seg_renewal_due_7d, at: 2100-01-01T00:00Z}"
    said = said.replace("trigger:\n  segment: seg_renewal_due_7d\nexisting: skip", broadcast)
    file.write_text(said, encoding="utf-8")
    with engine.connect(day.settings) as connection:
        engine.attach(connection, day.settings.published, "published")
        row = engine.first(connection, "select min(person_id) from published.segments.seg_renewal_due_7d")
    assert row is not None

    asked = ("campaign", "preview", "renewal_reminder", "--as", user_id(day, row[0]))
    done = call(Installation(day.data_dir, project), *asked, "--json")

    assert done.code == 0, done.err
    assert [(message["step"], message["problem"]) for message in done.json] == [("renewal_notice", None)]


def test_the_doctor_finds_a_healthy_installation_well(day: Installation) -> None:
    done = call(day, "doctor", "--json")

    assert done.code == 0, done.out
    subjects = {finding["subject"] for finding in done.json}
    assert {"versions", "landing", "warehouse", "published", "plans", "journal", "destinations", "locks"} <= subjects


def test_the_doctor_names_every_channel_that_goes_to_a_connection(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "project"))
    (project / "destinations.yml").write_text("connections: {}\nchannels: {email: outbox, sms: outbox}\n")

    found = call(Installation(tmp_path / "data", project), "doctor", "--json").json

    assert "outbox (outbox), for email, sms" in [row["text"] for row in found if row["subject"] == "destinations"]


@pytest.mark.parametrize("store", ["warehouse.duckdb", "published.duckdb", "journal.sqlite", "plans/HEAD"])
def test_the_doctor_names_a_damaged_store_and_goes_on(store: str, day: Installation, tmp_path: Path) -> None:
    installation = day.copy(tmp_path / "data")
    (installation.data_dir / store).write_bytes(b"\xff\x00damage" * 1000)

    done = call(installation, "doctor", "--json")

    assert done.code == 1
    bad = [finding for finding in done.json if finding["status"] == "bad"]
    assert [finding["subject"] for finding in bad] == [store.partition(".")[0].partition("/")[0]]
    assert [finding for finding in done.json if finding["subject"] == "locks"]
    assert "did not foresee" not in call(installation, "explain", "u000001").err


def test_the_doctor_names_a_secret_that_is_not_set(day: Installation, project: Edit) -> None:
    copy = project("destinations.yml", "connections:\n", "connections:\n  relay: {type: smtp, host: h, username: u,")
    project("destinations.yml", "username: u,", "username: u, password_env: NO_SUCH_SECRET}\n")

    done = call(Installation(day.data_dir, copy), "doctor")

    assert done.code == 1
    assert "NO_SUCH_SECRET" in done.out


@pytest.mark.torture
def test_the_report_says_where_it_is(day: Installation) -> None:
    path = Path(call(day, "report").out.strip())

    assert path.parent == day.settings.reports
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(day: Installation) -> None:
    before = sorted(path.name for path in day.data_dir.iterdir())

    done = call(day, "demo", "--data-dir", str(day.data_dir))

    assert done.code == 1
    assert "Nothing was changed" in done.err
    assert sorted(path.name for path in day.data_dir.iterdir()) == before


@pytest.mark.torture
@pytest.mark.slow
def test_a_small_demo_plays_and_says_where_to_look(tmp_path: Path) -> None:
    demo = Installation(tmp_path / "demo", PROJECT)

    done = call(demo, "demo", "--data-dir", str(demo.data_dir), "--people", "60", "--days", "1", "--json")

    assert done.code == 0, done.err
    assert Path(done.json["report"]).is_file()
    assert call(demo, "explain", done.json["example_user"]).code == 0
