from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tailrace.errors import TailraceError
from tailrace.samples.collector import DAMAGE, LATE
from tailrace.samples.company import Sample, generate

RESERVED = re.compile(r"@(example\.(com|org|net)|[a-z0-9-]+\.test)$")
TRACKS = {
    "signed_up": None,
    "trial_started": {"plan", "trial_ends_at"},
    "logged_in": None,
    "project_created": None,
    "report_exported": {"format", "rows"},
    "teammate_invited": None,
    "integration_connected": {"name"},
    "subscription_started": {"plan", "mrr", "billing", "renews_at"},
    "subscription_renewed": {"plan", "mrr", "renews_at"},
    "subscription_cancelled": {"reason", "ends_at"},
    "payment_failed": {"attempt"},
    "unsubscribed": None,
    "subscribed": None,
}


@dataclass
class Read:
    calls: list[dict]  # the first of each messageId, in order of the files
    duplicates: Counter
    bad: Counter
    lines: Counter


def is_bad(line: bytes) -> bool:
    try:
        call = json.loads(line)
    except ValueError:
        return True
    if not isinstance(call, dict) or call.get("type") not in {"identify", "track", "page", "group"}:
        return True
    if not call.keys() & {"userId", "anonymousId"} or (call["type"] == "track" and "event" not in call):
        return True
    try:
        at(call, "timestamp")
    except ValueError:
        return True
    return False


def at(call: dict, key: str) -> datetime:
    return datetime.fromisoformat(call[key])


@pytest.fixture(scope="module")
def read(sample: Sample) -> Read:
    found = Read([], Counter(), Counter(), Counter())
    seen: dict[str, dict] = {}
    for file in sample.files:
        for line in gzip.decompress(file.path.read_bytes()).splitlines():
            found.lines[file.path.name] += 1
            if is_bad(line):
                found.bad[file.path.name] += 1
                continue
            call = json.loads(line)
            if call["messageId"] in seen:
                found.duplicates[file.path.name] += 1
                first = seen[call["messageId"]]
                assert {**call, "sentAt": 0, "receivedAt": 0} == {**first, "sentAt": 0, "receivedAt": 0} or (
                    "sentAt" not in call and {**call, "receivedAt": 0} == {**first, "receivedAt": 0}
                )
                continue
            seen[call["messageId"]] = call
            found.calls.append(call)
    return found


@pytest.mark.torture
def test_every_file_holds_the_lines_events_duplicates_and_bad_lines_it_claims(sample: Sample, read: Read) -> None:
    for file in sample.files:
        name = file.path.name
        assert file.lines == read.lines[name] == file.events + file.duplicates + file.n_bad
        assert (file.duplicates, file.n_bad) == (read.duplicates[name], read.bad[name])
        assert file.n_bad >= 1
    assert (sample.events, sample.lines) == (len(read.calls), read.lines.total())
    assert (sample.duplicates, sample.bad_lines) == (read.duplicates.total(), read.bad.total())
    assert sample.duplicates > 50


def test_all_kinds_of_damage_occur_and_sum_to_the_bad_lines(sample: Sample) -> None:
    assert set(sample.bad_by_kind) <= set(DAMAGE)
    assert sum(sample.bad_by_kind.values()) == sample.bad_lines
    year = sample.target.parent / "damage"
    assert set(generate(year, people=30, start=date(2025, 1, 1), days=90, split_last_days=80).bad_by_kind) == set(
        DAMAGE
    )


def test_the_order_of_names_is_the_order_of_time_and_each_file_holds_what_was_received_then(sample: Sample) -> None:
    assert sorted(file.path.name for file in sample.files) == [file.path.name for file in sample.files]
    assert {path.name for path in sample.target.iterdir()} == {file.path.name for file in sample.files}
    assert sample.files[0].first_on == "2025-03-10"
    assert sample.history[0].last_on == "2025-03-31"
    assert len(sample.daily) == 12
    for before, after in zip(sample.files, sample.files[1:], strict=False):
        assert date.fromisoformat(after.first_on) == date.fromisoformat(before.last_on) + timedelta(days=1)
    assert date.fromisoformat(sample.files[-1].last_on) + timedelta(days=1) == sample.end
    for file in sample.files[1:]:
        received = [
            json.loads(line)["receivedAt"]
            for line in gzip.decompress(file.path.read_bytes()).splitlines()
            if not is_bad(line)
        ]
        assert received == sorted(received)
        assert file.first_on <= received[0][:10] <= received[-1][:10] <= file.last_on


def test_some_duplicates_are_in_a_later_file_than_the_event(sample: Sample) -> None:
    first: dict[str, str] = {}
    across = 0
    for file in sample.files:
        for line in gzip.decompress(file.path.read_bytes()).splitlines():
            if not is_bad(line):
                across += first.setdefault(json.loads(line)["messageId"], file.first_on) != file.first_on
    assert across >= 5


def test_only_the_events_and_properties_of_the_contract_occur(read: Read) -> None:
    seen = set()
    for call in read.calls:
        if call["type"] == "track":
            seen.add(call["event"])
            assert set(call.get("properties", {})) == (TRACKS[call["event"]] or set())
        if call["type"] == "identify":
            assert set(call["traits"]) <= {"email", "first_name", "last_name", "country", "timezone", "company"}
    assert seen == set(TRACKS)


def test_every_address_is_under_a_reserved_name(read: Read) -> None:
    addresses = {call["traits"].get("email") for call in read.calls if call["type"] == "identify"} - {None}
    assert len(addresses) > 300
    assert [address for address in addresses if not RESERVED.search(address.lower())] == []


def test_the_truths_are_those_of_the_events_in_the_files(sample: Sample, read: Read) -> None:
    truth = sample.truth
    counts = Counter(
        f"{call['type']}:{call['event']}" if call["type"] == "track" else call["type"] for call in read.calls
    )
    assert truth.n_events == dict(counts)
    identified = {call["anonymousId"] for call in read.calls if "userId" in call and "anonymousId" in call}
    assert truth.n_visitors == len(
        {c["anonymousId"] for c in read.calls if "userId" not in c} - identified - known(read)
    )
    assert truth.n_without_user == sum("userId" not in call for call in read.calls)
    assert sample.people == len({call["userId"] for call in read.calls if "userId" in call}) == 400
    late = [c for c in read.calls if at(c, "receivedAt") - at(c, "timestamp") >= timedelta(milliseconds=LATE)]
    assert truth.n_late == len(late) > 50
    skewed = [c for c in read.calls if "originalTimestamp" in c and c["originalTimestamp"] != c["timestamp"]]
    assert truth.n_skewed == len(skewed) > 50


def known(read: Read) -> set[str]:
    return {call["anonymousId"] for call in read.calls if call["type"] == "identify" and "anonymousId" in call}


def test_the_cast_plays_what_it_says(sample: Sample, read: Read) -> None:
    last: dict[tuple[str, str], str] = {}
    started: Counter[str] = Counter()
    logged_in, addresses = set(), {}
    for call in sorted(read.calls, key=lambda call: call["timestamp"]):
        user, event = call.get("userId"), call.get("event", "")
        if call["type"] == "identify":
            addresses[user] = call["traits"].get("email")
        if event.startswith("subscription_"):
            last[user, "money"] = event
            started[user] += event == "subscription_started"
        if event in {"unsubscribed", "subscribed"}:
            last[user, "consent"] = event
        if event == "logged_in":
            logged_in.add(user)
    cast = {part: set(ids) for part, ids in sample.truth.cast.items()}
    money = {user: event for (user, what), event in last.items() if what == "money"}
    assert cast["paying"] == {user for user, event in money.items() if event != "subscription_cancelled"}
    assert cast["cancelled"] == set(money) - cast["paying"]
    assert sample.truth.n_paying == len(cast["paying"]) > 20
    assert cast["annual"] <= cast["paying"]
    assert cast["won_back"] == {user for user, times in started.items() if times > 1}
    assert cast["unsubscribed"] == {
        user for (user, what), e in last.items() if (what, e) == ("consent", "unsubscribed")
    }
    assert cast["no_email"] == {user for user, address in addresses.items() if address is None}
    assert cast["never_returned"] == set(addresses) - logged_in
    times_used = Counter(address for address in addresses.values() if address)
    assert cast["shares_address"] == {user for user, address in addresses.items() if times_used[address] == 2}
    assert max(times_used.values()) == 2


def test_a_wrong_clock_is_corrected_by_the_formula_of_the_spec(read: Read) -> None:
    for call in read.calls:
        if "sentAt" in call:
            corrected = at(call, "receivedAt") - (at(call, "sentAt") - at(call, "originalTimestamp"))
            assert corrected == at(call, "timestamp")
        assert at(call, "timestamp") <= at(call, "receivedAt")


def test_people_live_on_all_continents_and_have_names_beyond_ascii(read: Read) -> None:
    traits = [call["traits"] for call in read.calls if call["type"] == "identify"]
    zones = {trait["timezone"].split("/")[0] for trait in traits}
    assert zones >= {"Africa", "America", "Asia", "Australia", "Europe", "Pacific"}
    assert any(not trait["first_name"].isascii() for trait in traits)


def test_weekends_are_quiet_and_the_company_grows(read: Read) -> None:
    sessions = Counter(at(call, "timestamp").weekday() for call in read.calls if call.get("event") == "logged_in")
    assert sessions[5] + sessions[6] < 0.5 * (sessions[1] + sessions[2])
    months = Counter(call["receivedAt"][:7] for call in read.calls if call.get("event") == "signed_up")
    assert months["2025-07"] + months["2025-08"] > months["2025-04"] + months["2025-05"]


@pytest.mark.torture
def test_the_same_arguments_make_the_same_bytes_in_another_process(sample: Sample, tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from tailrace.samples.company import generate\n"
        "generate(Path(sys.argv[1]), people=400, start=date(2025, 3, 10), days=200, split_last_days=12)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "again")], check=True, env=environment)
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == {
        file.path.name: file.path.read_bytes() for file in sample.files
    }


def test_another_seed_is_another_company(tmp_path: Path) -> None:
    one, other = (
        generate(tmp_path / str(seed), people=5, start=date(2025, 1, 1), days=20, seed=seed, split_last_days=0)
        for seed in (1, 2)
    )
    assert one.files[0].path.read_bytes() != other.files[0].path.read_bytes()
    assert one.daily == ()
    assert one.history == one.files


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(TailraceError, match="not empty"):
        generate(tmp_path, start=date(2025, 1, 1))


@pytest.mark.parametrize(("people", "days", "split"), [(0, 10, 1), (1, 0, 0), (1, 5, 6), (1, 5, -1)])
def test_impossible_sizes_are_refused(tmp_path: Path, people: int, days: int, split: int) -> None:
    with pytest.raises(TailraceError, match="expected at least one person"):
        generate(tmp_path, people=people, start=date(2025, 1, 1), days=days, split_last_days=split)
