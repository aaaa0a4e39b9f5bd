"""What does Google's Data Manager API hear of one person? An AudienceMember, normalised and hashed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tailrace.destinations import normal, rows
from tailrace.destinations.base import Batch, BatchRow, RefusedError

COLUMNS = frozenset(
    {
        "email_address",
        "phone_number",
        "given_name",
        "family_name",
        "region_code",
        "postal_code",
        "mobile_id",
        "user_id",
        "ad_user_data",
        "ad_personalization",
    }
)
"""The columns of a sync (any case). E-mail addresses and telephone numbers may be lists."""

MOST_IDENTIFIERS = 10


class MemberSettings(Protocol):
    """What of a connection's settings says how to read a row."""

    @property
    def default_country(self) -> str | None:
        """The country of numbers that do not say theirs."""

    @property
    def hashed(self) -> list[str]:
        """The columns that hold hashes already."""


def member(settings: MemberSettings, row: BatchRow) -> dict[str, Any]:
    """Return an AudienceMember: all that the row says of one person, normalised and hashed.

    A key is read from the key alone, so that a removal, which knows no more, says the same of it. A value that is not
    what its column says is left out; in a key it refuses the row, as does nobody to be found by.
    """
    key, data = _told(row.key), _told(row.data or {})
    told = {**data, **{name: value for name, value in key.items() if value is not None}}
    for kind, name, made in (("mobileData", "mobile_id", "mobileIds"), ("userIdData", "user_id", "userId")):
        own = rows.text(told.get(name))
        if own is not None:
            return {kind: {made: [own] if kind == "mobileData" else own}, **_own_consent(data)}
    found = [*_identifiers(settings, key, data), *_address(settings, told)]
    if not found:
        raise RefusedError("row:nobody_to_match")
    return {"userData": {"userIdentifiers": found[:MOST_IDENTIFIERS]}, **_own_consent(data)}


def _identifiers(settings: MemberSettings, key: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    key_region = normal.country(key.get("region_code")) or settings.default_country
    region = normal.country(data.get("region_code")) or key_region
    for name, field_name in (("email_address", "emailAddress"), ("phone_number", "phoneNumber")):
        is_key = key.get(name) is not None
        value = key[name] if is_key else data.get(name)
        for one in value if isinstance(value, list) else [value]:
            hashed = _hashed(settings, name, one, key_region if is_key else region)
            if hashed is not None:
                yield {field_name: hashed}
            elif is_key:
                raise RefusedError(f"key:{name}")


def _hashed(settings: MemberSettings, name: str, value: Any, region: str | None) -> str | None:
    if name in settings.hashed:
        return normal.hashed(value)
    match name:
        case "email_address":
            told = normal.google_email(value)
        case "phone_number":
            told = normal.google_phone(value, region)
        case "given_name":
            told = normal.google_given_name(value)
        case _:
            told = normal.google_family_name(value)
    return None if told is None else normal.sha256(told)


def _address(settings: MemberSettings, told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the address, if all four parts of it are known; no part of it is worth anything alone."""
    region = normal.country(told.get("region_code"))
    parts = {
        "givenName": _hashed(settings, "given_name", told.get("given_name"), region),
        "familyName": _hashed(settings, "family_name", told.get("family_name"), region),
        "regionCode": region,
        "postalCode": normal.google_postal_code(told.get("postal_code"), region),
    }
    if None not in parts.values():
        yield {"address": parts}


def _told(columns: Any) -> dict[str, Any]:
    if not isinstance(columns, dict):
        raise RefusedError("row:not_an_object")
    return {name.lower(): value for name, value in columns.items()}


def check_columns(batch: Batch) -> None:
    """Raise RefusedError for a column that is none of Google's, unless it is a key: that only tells rows apart."""
    for row in batch.rows:
        if isinstance(row.data, dict) and isinstance(row.key, dict):
            for name in row.data.keys() - row.key.keys():
                if name.lower() not in COLUMNS:
                    raise RefusedError(f"column:{name}"[:80])


def consent(user_data: str | None, personalization: str | None) -> dict[str, str]:
    """Return a Consent: what is known of the two, `granted` or `denied`."""
    said = {"adUserData": user_data, "adPersonalization": personalization}
    return {name: f"CONSENT_{value.upper()}" for name, value in said.items() if value is not None}


def _own_consent(data: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    words = {True: "granted", False: "denied"}
    said = [data.get(name) for name in ("ad_user_data", "ad_personalization")]
    said_so = consent(*(words[one] if isinstance(one, bool) else None for one in said))
    return {"consent": said_so} if said_so else {}
