from __future__ import annotations

from dataclasses import replace

import pytest

from tailrace.campaigns.check import check_campaigns
from tests.campaigns.conftest import CAMPAIGN, POLICY, Project

OF_A_SHOP = CAMPAIGN.replace("event: signed_up", "segment: seg_of_the_shop") + "programme: commerce\n"


def test_a_campaign_is_planned_only_while_its_programme_is_on(project: Project) -> None:
    project.write("campaigns/shop/campaign.yml", OF_A_SHOP)
    project.write("campaigns/shop/welcome.email.md", "---\nsubject: Hello\n---\nHi\n")
    for said, is_on in (("[saas]", False), ("[]", False), ("[saas, commerce]", True)):
        project.write("dbt_project.yml", f"vars:\n  programmes: {said}\n")
        shelf = project.shelf()
        assert shelf.problems == ()
        assert ("shop" in shelf.campaigns, "shop" in shelf.off) == (is_on, not is_on)
        # one that names none is always on
        assert "hello" in shelf.campaigns
        missing = [str(each) for each in check_campaigns(shelf, [], ["person_id", "first_name"], {})]
        assert [text for text in missing if "segment `seg_of_the_shop` does not exist" in text] == missing
        assert len(missing) == is_on


def test_a_project_that_names_no_programmes_has_none_on(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", CAMPAIGN + "programme: commerce\n")
    assert set(project.shelf().off) == {"hello"}
    project.write("dbt_project.yml", "name: mine\n")
    assert set(project.shelf().off) == {"hello"}


@pytest.mark.parametrize("said", ["saas", "{saas: true}", "[1]"])
def test_programmes_that_are_no_list_of_names_are_a_problem(project: Project, said: str) -> None:
    project.write("dbt_project.yml", f"vars: {{programmes: {said}}}\n")
    assert project.complaints() == [
        "dbt_project.yml: `vars: programmes` is not a list of names; expected such as `[saas]`, or `[]` for none"
    ]


def test_what_is_off_is_checked_in_itself_all_the_same(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", CAMPAIGN.replace("send: welcome", "send: welcom") + "programme: x\n")
    assert any("welcom" in text for text in project.complaints())


def test_a_programme_is_no_part_of_the_version(project: Project) -> None:
    before = project.shelf().campaigns["hello"]
    project.write("campaigns/hello/campaign.yml", CAMPAIGN + "programme: saas\n")
    project.write("dbt_project.yml", "vars: {programmes: [saas]}\n")
    after = project.shelf().campaigns["hello"]
    assert (after.programme, after.version) == ("saas", before.version)
    assert replace(after, programme=None) == before


def test_a_segment_of_a_programme_that_is_off_is_named_as_such(project: Project) -> None:
    project.write("campaigns/hello/campaign.yml", OF_A_SHOP.replace("programme: commerce\n", ""))
    project.write("policy.yml", f"{POLICY}guards: {{overrides: {{seg_of_the_shop: {{segment_minimum: 1}}}}}}\n")
    people = ["person_id", "first_name"]
    said = [str(each) for each in check_campaigns(project.shelf(), [], people, {}, off=["seg_of_the_shop"])]
    assert len(said) == 1
    assert said[0].startswith(
        "campaigns/hello/campaign.yml:7: segment `seg_of_the_shop` is of a programme that is off;"
    )
    off = [str(each) for each in check_campaigns(project.shelf(), [], people, {})]
    assert len(off) == 2
