from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tailrace.reports.attention import balances, notes
from tailrace.reports.figures import flows, history, sparkline
from tailrace.reports.html import render, write_report
from tailrace.reports.view import ReportView, RunView, SizePoint, StateFlow
from tailrace.settings import Settings

VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside the style sheet; balanced tags are checked on the way."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def without_numbers(value: Any) -> Any:
    """Return the view with every optional number unknown."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in dataclasses.fields(value):
            unknowable = "None" in str(field.type) and str(field.type).split()[0] in {"int", "float", "datetime"}
            changed[field.name] = None if unknowable else without_numbers(getattr(value, field.name))
        return dataclasses.replace(value, **changed)
    return tuple(without_numbers(entry) for entry in value) if isinstance(value, tuple) else value


def test_the_report_is_written_under_its_plan_and_as_the_latest(tmp_path: Path, view: ReportView) -> None:
    path = write_report(Settings(tmp_path, tmp_path), view)
    assert path == tmp_path / "reports" / "3f9a1c07be5d2248.html"
    assert path.read_bytes() == (path.parent / "latest.html").read_bytes()
    assert sorted(found.name for found in path.parent.iterdir()) == ["3f9a1c07be5d2248.html", "latest.html"]


def test_the_same_view_is_the_same_text(view: ReportView) -> None:
    assert render(view) == render(view)


def test_nothing_in_the_page_is_fetched_run_or_styled_from_elsewhere(view: ReportView) -> None:
    html = render(view)
    for tag, attributes in Page(html).tags:
        assert tag not in {"script", "iframe", "img", "object", "embed", "base", "form", "use", "image"}
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style", "xlink:href"}]
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    assert re.search(r"https?://|url\(|@import", html) is None


def test_the_policy_allows_only_the_style_sheet_that_is_in_the_page(view: ReportView) -> None:
    html = render(view)
    css = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert css is not None
    digest = base64.b64encode(hashlib.sha256(css.group(1).encode()).digest()).decode()
    policy = next(a["content"] for t, a in Page(html).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


def test_every_link_inside_the_page_leads_somewhere(view: ReportView) -> None:
    tags = Page(render(view)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {href[1:] for _, attributes in tags if (href := attributes.get("href") or "").startswith("#")}
    assert links <= set(ids)


def test_every_figure_says_in_words_what_it_shows_or_is_hidden_from_readers(view: ReportView) -> None:
    figures = [attributes for tag, attributes in Page(render(view)).tags if tag == "svg"]
    assert len(figures) > 20
    assert all(("aria-label" in figure) != (figure.get("aria-hidden") == "true") for figure in figures)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "\"><img src=x onerror='a()'>", "{{ 7*7 }}&amp;"])
def test_words_from_definitions_are_text_and_never_markup(view: ReportView, hostile: str) -> None:
    def spoil(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: spoil(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **fields)
        if isinstance(value, tuple):
            return tuple(spoil(entry) for entry in value)
        if isinstance(value, dict):
            return {hostile + key: spoil(entry) for key, entry in value.items()}
        return hostile + value if isinstance(value, str) else value

    clean, page = Page(render(view)), Page(render(spoil(view)))
    assert not {tag for tag, _ in page.tags} - {tag for tag, _ in clean.tags} - {"small"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "src"]
    assert hostile in " ".join(page.words)


def test_an_unknown_number_is_printed_as_unknown_and_never_as_zero(view: ReportView) -> None:
    blind = dataclasses.replace(without_numbers(view), outcomes={"accepted": 5})
    assert blind.totals.people is None
    html = render(blind)
    tiles = re.findall(r'<div class="tile.*?<dd>(.*?)</dd>', html, re.DOTALL)
    assert len(tiles) == 6
    assert {re.sub("<.*?>", "", tile) for tile in tiles} == {"unknown"}
    cells = re.findall(r'<td class="num[^"]*"[^>]*>(.*?)</td>', html, re.DOTALL)
    assert cells
    assert [cell for cell in cells if re.sub("<.*?>", "", cell).strip() == "0"] == []
    assert html.count('class="unknown"') > 60


def test_a_journal_that_cannot_be_read_leaves_outcomes_unknown(view: ReportView) -> None:
    text = Page(render(dataclasses.replace(view, outcomes=None))).text
    assert "unknown The journal could not be read" in text
    assert "what became of the messages is unknown" in text


def test_no_states_are_said_to_be_unknown(view: ReportView) -> None:
    assert "unknown The states have not been built" in Page(render(dataclasses.replace(view, states=()))).text


def test_the_numbers_of_the_view_are_in_the_page(view: ReportView) -> None:
    text = Page(render(view)).text
    assert "57 considered = 50 to send + 2 deferred + 5 skipped" in text
    assert "treated 61.8 % held out 44.7 %" in text
    assert "Sat 31 Oct 2026, 06:00 UTC" in text
    assert "293,046" in text
    assert "not entered late 2" in text


def test_a_reason_is_explained_in_words(view: ReportView) -> None:
    titles = {attributes.get("title") for _, attributes in Page(render(view)).tags}
    assert "lacks a field that the message needs: first_name" in titles
    assert "another person with the same address gets it" in titles


def test_what_needs_a_person_comes_first_with_the_command_that_settles_it(view: ReportView) -> None:
    found = notes(view)
    assert [note.level for note in found] == sorted((note.level for note in found), reverse=True)
    texts = [note.text for note in found]
    assert any("2 messages with an unknown outcome" in text for text in texts)
    tripped = next(note for note in found if "tripped" in note.text)
    assert tripped.text == "segment_entered_share tripped for segment:seg_usage_dropped: 61.2 %, allowed 50.0 %"
    assert tripped.command == "tailrace guard release segment_entered_share segment:seg_usage_dropped --reason …"
    assert not any("sync_deletions_share" in text for text in texts), "a released guard needs nobody"
    assert sum("seg_win_back" in text for text in texts) == 1
    assert "app: 165 lines in quarantine" in texts
    # What the range of a backfill left out is as its file has it.
    ranged = dataclasses.replace(view.sources[0], reasons=view.sources[0].reasons | {"outside_range": 100})
    ranged = dataclasses.replace(ranged, lines=295698, quarantined=265)
    of_range = dataclasses.replace(view, sources=(ranged, view.sources[1]))
    assert [note.text for note in notes(of_range)] == texts


def test_sums_that_do_not_hold_are_told(view: ReportView) -> None:
    totals = dataclasses.replace(view.totals, skip=4)
    broken = dataclasses.replace(view, totals=totals, sources=(dataclasses.replace(view.sources[0], landed=293045),))
    assert [balance.holds for balance in balances(broken)] == [False, False]
    text = Page(render(broken)).text
    assert "does not add up 57 considered = 50 to send + 2 deferred + 4 skipped" in text
    assert "app: the numbers do not add up: 295,598 lines = 293,045 landed + 2,387 duplicate + 165 quarantined" in text
    unknown = dataclasses.replace(view, totals=dataclasses.replace(view.totals, skip=None))
    assert balances(unknown)[0].holds is None


def test_a_stale_source_is_marked(view: ReportView) -> None:
    stale = dataclasses.replace(view.sources[0], silent_hours=31.0)
    assert 'class="num loud"' in render(dataclasses.replace(view, sources=(stale,), syncs=()))
    fresh = dataclasses.replace(view.sources[0], silent_hours=29.0)
    assert 'class="num loud"' not in render(dataclasses.replace(view, sources=(fresh,), syncs=()))


def test_an_installation_without_anything_has_a_report(view: ReportView) -> None:
    empty = ReportView(
        plan=dataclasses.replace(view.plan, parent_id=None, is_applied=False),
        totals=dataclasses.replace(view.totals, considered=0, send=0, defer=0, skip=0),
        outcomes={},
        runs=(),
        segments=(),
        states=(),
        campaigns=(),
        syncs=(),
        guards=(),
        sources=(),
        failed_models={},
    )
    text = Page(render(empty)).text
    assert "Nothing needs a look" in text
    assert "none: the first plan" in text
    assert "nothing of it has happened" in text


def test_a_view_is_plain_data(view: ReportView) -> None:
    assert json.loads(json.dumps(dataclasses.asdict(view), default=str))["totals"]["considered"] == 57


def test_a_line_has_a_gap_where_the_size_is_not_known() -> None:
    points = [SizePoint(datetime(2026, 1, day, tzinfo=UTC), size) for day, size in enumerate([5, 6, None, 8, 9], 1)]
    figure = sparkline(points, "seg_x")
    assert figure.count("<polyline") == 2
    assert "seg_x: 5 on 01 Jan 2026, 9 on 05 Jan 2026, between 5 and 9" in figure
    assert "No size is known yet" in sparkline([SizePoint(points[0].as_of, None)], "seg_x")


def test_a_run_whose_messages_are_not_known_is_a_question_mark_and_not_an_empty_place() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    figure = history([RunView("a", at, 3, 0, 0), RunView("b", at, None, None, None)])
    assert figure.count("s-send") == 1
    assert ">?</text>" in figure


def test_ribbons_are_as_wide_as_the_people_are_many() -> None:
    figure = flows(
        [StateFlow(None, "new", 30), StateFlow("new", "active", 10), StateFlow("gone", "new", 0)], ["new", "active"]
    )
    assert figure.count('class="ribbon') == 2
    heights = {
        float(height)
        for height in re.findall(r'class="node[^"]*" x="190.0" y="[^"]*" width="12" height="([^"]*)"', figure)
    }
    assert heights == {225.0, 75.0}
    assert "first seen → new: 30" in figure
    assert "gone" not in figure


def test_what_a_silent_source_parks_is_one_thing_to_look_at(view: ReportView) -> None:
    reason = "source:app is stale"
    silent = dataclasses.replace(view.guards[-1], measured=80.0, tripped=True)
    stale = dataclasses.replace(
        view,
        guards=(silent,),
        failed_models={},
        segments=tuple(dataclasses.replace(segment, parked=reason) for segment in view.segments),
        campaigns=tuple(dataclasses.replace(campaign, parked=reason) for campaign in view.campaigns),
        syncs=tuple(dataclasses.replace(sync, parked="source_stale") for sync in view.syncs),
    )
    texts = [note.text for note in notes(stale) if "stale" in note.text or "parked" in note.text]
    held = f"{len(view.segments)} segments, {len(view.campaigns)} campaigns, {len(view.syncs)} syncs are parked"
    assert texts == [f"source_stale_after tripped for source:app: 80 h, allowed 30 h; so {held}"]
    other = dataclasses.replace(stale, segments=(dataclasses.replace(view.segments[0], parked="guard"),))
    assert "seg_new_this_week is parked: guard" in [note.text for note in notes(other)]


def test_a_lift_is_shown_with_its_interval_and_what_it_allows_to_be_said(view: ReportView) -> None:
    text = Page(render(view)).text
    assert "treated 1,271 1,180 786 66.6 % +21.93 +13.25 to +30.31 more than holdout, beyond chance" in text
    assert "long 510 470 300 63.8 % +1.12 −5.00 to +7.22 no difference that chance would not make" in text
    assert "too small a sample: fewer than 5" in text
    assert "nudge sms 388 unknown no receipt has landed for sms yet 102" in text


def test_arms_of_the_wrong_size_are_something_to_look_at(view: ReportView) -> None:
    campaign = view.campaigns[0]
    assert campaign.measured is not None
    broken = dataclasses.replace(campaign.measured.comparisons[0], mismatch=0.0004, is_broken=True)
    measured = dataclasses.replace(campaign.measured, comparisons=(broken,))
    wrong = dataclasses.replace(view, campaigns=(dataclasses.replace(campaign, measured=measured),))
    assert any("chance makes that about 1 in 2,500" in note.text for note in notes(wrong))
    text = Page(render(wrong)).text
    assert "not to be trusted" in text
    assert "beyond chance" not in text


def test_nobody_is_compared_before_their_time_is_over(view: ReportView) -> None:
    campaign = view.campaigns[0]
    assert campaign.measured is not None
    held, treated = campaign.measured.comparisons[0].arms
    young = dataclasses.replace(
        campaign.measured.comparisons[0],
        arms=(
            dataclasses.replace(held, measured=0, converted=0, share=None),
            dataclasses.replace(treated, measured=0, converted=0, share=None, points=None, low=None, high=None),
        ),
    )
    measured = dataclasses.replace(campaign.measured, comparisons=(young,))
    text = Page(render(dataclasses.replace(view, campaigns=(dataclasses.replace(campaign, measured=measured),)))).text
    assert "Nobody's time for project_created within 7 days is over yet: 141 holdout, 1,271 treated." in text


def test_removals_that_a_destination_refuses_are_something_to_look_at(view: ReportView) -> None:
    syncs = (dataclasses.replace(view.syncs[0], removals_refused=12), *view.syncs[1:])

    (note,) = [note for note in notes(dataclasses.replace(view, syncs=syncs)) if "refuses to remove" in note.text]

    assert note.text == "sync_webhook__customers: 12 rows that webhook refuses to remove are still there"
    assert note.command == "tailrace sync show sync_webhook__customers"
    assert not [note for note in notes(view) if "refuses to remove" in note.text]
