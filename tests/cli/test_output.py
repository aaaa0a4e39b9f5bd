"""What is printed is what was meant: no markup, no control character, nothing unknown shown as zero."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from tailrace.cli import output, people
from tailrace.planning.story import Story


def test_text_from_outside_is_neither_markup_nor_an_order_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("[bold]a\x1b[2J")
    output.title("[red]b\x07")
    output.table(["[c]"], [["[/d]\x1b[1m"]], empty="")
    output.note("[e]\x9b")

    printed = capsys.readouterr()
    assert printed.out == "[bold]a\\x1b[2J\n\n[red]b\\x07\n[c]\n[/d]\\x1b[1m\n"
    assert printed.err == "[e]\\x9b\n"


def test_what_is_not_known_is_a_dash_and_never_a_zero(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["n", "m"], [[None, 1234], [0, 5]], empty="")

    assert capsys.readouterr().out.splitlines() == ["n      m", "–  1,234", "0      5"]


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["n"], [], empty="There is none.")

    assert capsys.readouterr().out == "There is none.\n"


def test_json_is_plain_and_times_are_utc(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 1, 31, 6, tzinfo=UTC)
    output.document({"at": moment, "naive": moment.replace(tzinfo=None), "on": date(2026, 1, 31), "n": (1, None)})

    told = json.loads(capsys.readouterr().out)
    assert told == {"at": "2026-01-31T06:00:00Z", "naive": "2026-01-31T06:00:00Z", "on": "2026-01-31", "n": [1, None]}


def test_a_name_is_never_broken_in_two(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PIPE", 20)
    names = ["seg_churned_winback_eligible", "segments_are_read_from_left_to_right"]

    output.table(["segment", "another", "text"], [[*names, "words may go to a line of their own"]], empty="")

    printed = capsys.readouterr().out
    assert [name for name in names if name not in printed] == []
    assert len(printed.splitlines()) > 2


def test_of_who_is_on_the_way_it_is_not_said_that_no_trigger_named_them(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story(1, 1, [], [], [], [], [{"campaign": "welcome"}], None)

    people._verdicts(story)

    assert "Never considered for a message so far." in capsys.readouterr().out


def test_a_row_of_a_table_is_one_line_whatever_a_name_has(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(["event", "n"], [["Order\nPaid\t\u2028\x85\r", 1], ["b", 2]], empty="")
    assert capsys.readouterr().out.splitlines()[1:] == [
        r"Order\nPaid\t\u2028\x85\x0d  1",
        "b                            2",
    ]
