"""What a description says is held against a request, place by place."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from described import Description

from tailrace.destinations.base import HttpRequest

PERSON = {
    "type": "object",
    "required": ["email"],
    "properties": {
        "email": {"type": "string"},
        "age": {"type": "integer", "nullable": True},
        "description": {"type": "string"},
        "more": {"type": "object"},
    },
}
ADD = {"allOf": [{"type": "object", "required": ["op"], "properties": {"op": {"enum": ["add"]}}}, PERSON]}
DROP = {
    "type": "object",
    "required": ["op", "id"],
    "properties": {"op": {"enum": ["drop"]}, "id": {"$ref": "#/components/schemas/Id"}},
}
FORM = {"type": "object", "required": ["To"], "properties": {"To": {"type": "string"}, "Seconds": {"type": "integer"}}}
OPENAPI = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://api.vendor.test/v1"}],
    "paths": {
        "/lists/{id}": {
            "parameters": [{"in": "path", "name": "id", "required": True}],
            "post": {
                "parameters": [
                    {"in": "query", "name": "kind", "required": True, "schema": {"type": "string", "enum": ["a", "b"]}},
                    {"in": "header", "name": "X-Token", "required": True, "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"rows": {"type": "array", "items": {"oneOf": [ADD, DROP]}}},
                            }
                        }
                    }
                },
            },
        },
        "/messages": {"post": {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": FORM}}}}},
        "/lists/all": {"get": {}},
    },
    "components": {"schemas": {"Id": {"type": "object", "properties": {"n": {"type": "integer"}}}}},
}
DISCOVERY = {
    "discoveryVersion": "v1",
    "rootUrl": "https://google.test/",
    "parameters": {"key": {"location": "query", "type": "string"}},
    "resources": {
        "members": {
            "methods": {"add": {"httpMethod": "POST", "path": "v1/members:add", "request": {"$ref": "Add"}}},
        }
    },
    "schemas": {
        "Add": {"id": "Add", "type": "object", "properties": {"who": {"type": "array", "items": {"$ref": "Who"}}}},
        "Who": {"id": "Who", "type": "object", "properties": {"kind": {"type": "string", "enum": ["A", "B"]}}},
    },
}
GOOD = HttpRequest(
    "POST",
    "https://api.vendor.test/v1/lists/7?kind=a",
    {"Content-Type": "application/json; charset=utf-8", "x-token": "t"},
    json.dumps(
        {
            "rows": [
                {"op": "add", "email": "k", "age": None, "description": "d", "more": {"any": 1}},
                {"op": "drop", "id": {"n": 1}},
            ]
        }
    ).encode(),
)


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vendor")
    (folder / "openapi.json").write_text(json.dumps(OPENAPI))
    (folder / "discovery.json").write_text(json.dumps(DISCOVERY))
    return Description(folder)


def fields(description, request):
    return [fault.field for fault in description.faults(request)]


def test_what_is_as_described_has_no_fault(description):
    assert description.faults(GOOD) == []


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("https://api.vendor.test/v1/list/7?kind=a", ["url.path"]),
        ("https://api.vendor.test/v1/lists/7/members?kind=a", ["url.path"]),
        ("https://eu.vendor.test/v1/lists/7?kind=a", ["url.host"]),
        ("https://api.vendor.test/v1/lists/7", ["query.kind"]),
        ("https://api.vendor.test/v1/lists/7?kind=c", ["query.kind"]),
        ("https://api.vendor.test/v1/lists/7?kind=a&page=1", ["query.page"]),
    ],
)
def test_a_call_that_is_not_described_is_told(description, url, places):
    assert fields(description, replace(GOOD, url=url)) == places


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ({"op": "add"}, ["body.rows[]"]),
        ({"op": "add", "email": 1}, ["body.rows[].email"]),
        ({"op": "add", "email": "k", "age": "old"}, ["body.rows[].age"]),
        ({"op": "add", "email": "k", "mail": "k"}, ["body.rows[].mail"]),
        ({"op": "drop", "id": {"n": 1, "m": 2}}, ["body.rows[].id.m"]),
        ({"op": "drop", "id": {"n": "1"}}, ["body.rows[].id.n"]),
    ],
)
def test_a_body_that_is_not_as_described_is_told_at_its_place(description, row, places):
    assert fields(description, replace(GOOD, body=json.dumps({"rows": [row]}).encode())) == places


def test_headers_and_kinds_of_body_are_looked_at(description):
    assert fields(description, replace(GOOD, headers={"content-type": "text/csv"})) == [
        "header.x-token",
        "header.content-type",
    ]
    assert fields(description, replace(GOOD, method="GET", url="https://api.vendor.test/v1/lists/all")) == ["body"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ("To=%2B1&Seconds=60", []),
        ("To=7&Seconds=soon", ["body.Seconds"]),
        ("Too=7", ["body"]),
        ("To=7&B=1", ["body.B"]),
    ],
)
def test_a_form_is_read_in_the_types_that_are_described(description, body, places):
    headers = {"content-type": "application/x-www-form-urlencoded"}
    request = HttpRequest("POST", "https://api.vendor.test/v1/messages", headers, body.encode())
    assert fields(description, request) == places


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({"who": [{"kind": "A"}]}, []),
        ({"who": [{"kind": "C"}]}, ["body.who[].kind"]),
        ({"who": [{"sort": "A"}]}, ["body.who[].sort"]),
        ({"whom": []}, ["body.whom"]),
    ],
)
def test_a_discovery_document_is_read_too(description, body, places):
    headers = {"content-type": "application/json"}
    request = HttpRequest("POST", "https://google.test/v1/members:add", headers, json.dumps(body).encode())
    assert fields(description, request) == places
