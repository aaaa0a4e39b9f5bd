from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import TailraceError
from tailrace.samples.telehealth import Clinic, generate

START = date(2025, 1, 1)


def lines(clinic: Clinic) -> list[dict[str, Any]]:
    return [json.loads(line) for path in clinic.files for line in path.read_bytes().splitlines()]


def digest(clinic: Clinic) -> str:
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in clinic.files)).hexdigest()


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    one, two, other = (
        generate(tmp_path / name, start=START, days=40, people=60, seed=seed)
        for name, seed in (("one", 11), ("two", 11), ("other", 12))
    )
    assert digest(one) == digest(two) != digest(other)


def test_a_line_stands_in_the_file_of_its_day_and_each_is_counted(tmp_path: Path) -> None:
    clinic = generate(tmp_path, start=START, days=90, people=200)
    calls = lines(clinic)
    assert len(calls) == clinic.lines == sum(clinic.events.values())
    assert len({call["messageId"] for call in calls}) == len(calls)
    assert len(clinic.files) == 90
    for path in clinic.files:
        times = [json.loads(line)["timestamp"] for line in path.read_bytes().splitlines()]
        assert times == sorted(times)
        assert all(time.startswith(path.stem) for time in times)


def test_every_stage_of_the_programme_happens_and_an_intake_goes_in_order(tmp_path: Path) -> None:
    clinic = generate(tmp_path, start=START, days=120, people=300)
    happened = {"form_submitted", "intake_started", "intake_completed", "payment_completed", "payment_failed"}
    happened |= {"review_completed", "visit_completed", "prescription_started", "prescription_filled", "care_ended"}
    assert happened <= clinic.events.keys()
    order = ("intake_started", "intake_completed", "payment_completed", "review_completed")
    by_intake: dict[str, list[str]] = {}
    for call in lines(clinic):
        intake = call.get("properties", {}).get("intake_id")
        if intake and call["event"] in order:
            by_intake.setdefault(intake, []).append(call["event"])
    assert all(tuple(events) == order[: len(events)] for events in by_intake.values())


def test_of_patients_known_from_elsewhere_only_the_website_and_billing_are_made(tmp_path: Path) -> None:
    clinic = generate(tmp_path, start=START, days=120, patients=[f"patient-{number}" for number in range(100)])
    assert not {"identify", "visit_completed", "prescription_started", "prescription_filled"} & clinic.events.keys()
    assert {call["userId"] for call in lines(clinic)} <= {f"patient-{number}" for number in range(100)}


def test_a_folder_that_holds_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(TailraceError, match="not empty"):
        generate(tmp_path, start=START, days=1)
