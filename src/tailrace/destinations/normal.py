"""How does each ad network want a personal value written before it is hashed? Its rules, by their version.

Every function returns None for what is not such a value, and never raises. The rules of networks change, and with them
the hash of the same person: `GOOGLE` and `META` are the versions in force, and a change of one is a change of every
row that is said by it. The rules and their sources: docs/destinations/hashing.md.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

import phonenumbers
from email_validator import EmailNotValidError, validate_email

GOOGLE = "google-2026-08"
META = "meta-2026-04"

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX = re.compile(r"^(?:mr|mrs|ms|miss|dr|prof)\.?\s+")
_SUFFIX = re.compile(r",?\s+(?:jr|sr|ii|iii|iv|phd|md)\.?$")
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?", re.ASCII)
_DASHES = re.compile(r"[\s‐-―-]")
_PLAIN = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*", re.ASCII)
_LONGEST = 1000


def sha256(text: str) -> str:
    """Return the hash, lower-case hex, of the UTF-8 of what was normalised. Nothing has no hash."""
    if not text:
        raise ValueError("an empty text is nobody: it has no hash")
    return hashlib.sha256(text.encode()).hexdigest()


def hashed(value: object) -> str | None:
    """Return a value that its column declares to be a hash already; never guessed from its looks."""
    text = _text(value).strip().lower()
    return text if _HASH.fullmatch(text) else None


def e164(value: object, region: str | None) -> str | None:
    """Return a telephone number as `+` and digits; one without its country's code is read as the region's.

    None when neither it nor `region` (a country in two letters, or by its English name) says which country.
    """
    told = _dialled(_text(value), country(region))
    # What reads as another number once more (`+27 0000000`: is the 0 dialled?) is none.
    return told if told is not None and _dialled(told, None) == told else None


def _dialled(text: str, region: str | None) -> str | None:
    try:
        told = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(told):
        return None
    return phonenumbers.format_number(told, phonenumbers.PhoneNumberFormat.E164)


def country(value: object) -> str | None:
    """Return a country in two capital letters (ISO 3166-1), from these or from its English name."""
    return _countries().get(" ".join(_text(value).split()).upper())


def birth_date(value: object) -> tuple[str, str, str] | None:
    """Return year, month and day of a date that begins with its year; any other order could be either."""
    told = _DAY.fullmatch(_text(value).strip())
    return None if told is None or not _is_day(*told.groups()) else (told[1], told[2], told[3])


def google_email(value: object) -> str | None:
    """Return an address without any white space, in lower case; Gmail's also without dots and `+…` in its name."""
    address = _address(re.sub(r"\s+", "", _text(value)))
    if address is None:
        return None
    local, _, domain = address.rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        local = local.split("+", 1)[0].replace(".", "")
    return f"{local}@{domain}" if local else None


def google_phone(value: object, region: str | None) -> str | None:
    """Return a number with its `+`."""
    return e164(value, region)


def google_given_name(value: object) -> str | None:
    """Return a first name in lower case, without Mrs. and its like, punctuation and white space."""
    return _joined(_PREFIX.sub("", _lower(value)))


def google_family_name(value: object) -> str | None:
    """Return a last name in lower case, without Jr. and its like, punctuation and white space."""
    return _joined(_SUFFIX.sub("", _lower(value)))


def google_postal_code(value: object, region: str | None) -> str | None:
    """Return a postal code, which Google does not want hashed; of the US five digits, or five and four."""
    text = " ".join(_text(value).split()).upper()
    if country(region) == "US":
        return text if re.fullmatch(r"\d{5}(-\d{4})?", text, re.ASCII) else None
    return text or None


def meta_email(value: object) -> str | None:
    """Return an address in lower case; dots and `+…` stay, Gmail's too."""
    return _address(_text(value).strip())


def meta_phone(value: object, region: str | None) -> str | None:
    """Return a number with its country's code and without `+`."""
    told = e164(value, region)
    return None if told is None else told.removeprefix("+")


def meta_name(value: object) -> str | None:
    """Return a name in lower case without punctuation; letters of any script, and single spaces within, stay."""
    return " ".join(_without(_lower(value), "P", "S").split()) or None


def meta_initial(value: object) -> str | None:
    """Return the first letter of a name."""
    name = meta_name(value)
    return None if name is None else unicodedata.normalize("NFC", name[:1])


def meta_gender(value: object) -> str | None:
    """Return `f` or `m`."""
    return {"f": "f", "female": "f", "m": "m", "male": "m"}.get(_lower(value))


def meta_year(value: object) -> str | None:
    """Return a year of birth, four digits."""
    return _number(value, 4, 1900, 2100)


def meta_month(value: object) -> str | None:
    """Return a month, two digits."""
    return _number(value, 2, 1, 12)


def meta_day(value: object) -> str | None:
    """Return a day of a month, two digits."""
    return _number(value, 2, 1, 31)


def meta_place(value: object) -> str | None:
    """Return a city or a state: letters only, in lower case. A state of the US is its two letters."""
    return "".join(letter for letter in _lower(value) if unicodedata.category(letter)[0] in "LM") or None


def meta_zip(value: object, region: str | None) -> str | None:
    """Return a postal code in lower case without spaces and dashes; of the US its first five digits."""
    text = _DASHES.sub("", _lower(value))
    return (text[:5] if country(region) == "US" else text) or None


def meta_country(value: object) -> str | None:
    """Return a country in two small letters, which Meta wants hashed."""
    told = country(value)
    return None if told is None else told.lower()


def meta_device(value: object) -> str | None:
    """Return an advertising id in lower case with its hyphens, which is not hashed."""
    text = _text(value).strip().lower()
    return text if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.ASCII) else None


def _text(value: object) -> str:
    """Return a value's text, composed (NFC); of what is no text or number, or far too long, nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value)
    if len(text) > _LONGEST:
        return ""
    if text.isascii():
        return text
    if any(unicodedata.category(letter) == "Cs" for letter in text):
        return ""
    return unicodedata.normalize("NFC", text)


def _lower(value: object) -> str:
    return unicodedata.normalize("NFC", _text(value).strip().lower())


def _without(text: str, *kinds: str) -> str:
    kept = "".join(letter for letter in text if not unicodedata.category(letter).startswith(kinds))
    return unicodedata.normalize("NFC", kept)


def _joined(text: str) -> str | None:
    return unicodedata.normalize("NFC", re.sub(r"\s+", "", _without(text, "P", "S"))) or None


def _address(text: str) -> str | None:
    lower = unicodedata.normalize("NFC", text.lower())
    local, _, domain = lower.rpartition("@")
    if _PLAIN.fullmatch(local) and len(lower) <= 254 and domain.isascii():
        return lower if _is_domain(domain) else None
    return lower if _is_address(lower) else None


@lru_cache(maxsize=16_384)
def _is_domain(domain: str) -> bool:
    """Return whether mail can have such a domain; the same few are asked for again and again."""
    return _is_address(f"a@{domain}")


def _is_address(text: str) -> bool:
    try:
        validate_email(text, check_deliverability=False)
    except (EmailNotValidError, UnicodeError):
        return False
    return True


def _number(value: object, digits: int, least: int, most: int) -> str | None:
    text = _text(value).strip().removesuffix(".0")
    if not re.fullmatch(rf"\d{{1,{digits}}}", text, re.ASCII) or not least <= int(text) <= most:
        return None
    return text.zfill(digits)


def _is_day(year: str, month: str, day: str) -> bool:
    return meta_year(year) is not None and meta_month(month) is not None and meta_day(day) is not None


@cache
def _countries() -> dict[str, str]:
    """Return the code of each country by its code, and by its English name in capitals: tzdata's list."""
    lines = files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t")[:2] for line in lines if line and not line.startswith("#"))
    known = {name.upper(): code for code, name in pairs} | {"UNITED KINGDOM": "GB", "KOSOVO": "XK"}
    return known | {code: code for code in known.values()}
