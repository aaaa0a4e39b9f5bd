"""Every published vector, and what holds of any text. `agrees`: the network published this digest."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tailrace.destinations import normal
from tailrace.destinations.normal import sha256

GOOGLE = [
    (normal.google_email, "  ALEXZ@example.com   ", "alexz@example.com",
     "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a", "agrees"),
    (normal.google_phone, "+1-800-555-0100", "+18005550100",
     "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30", "agrees"),
    (normal.google_given_name, "  GivenName  ", "givenname",
     "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814", "agrees"),
    (normal.google_family_name, "FamilyName", "familyname",
     "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574", "agrees"),
    (normal.google_email, "cloudy.sanfrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com",
     "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4", "ours"),
    (normal.google_email, "user.name+NYC@Example.com", "user.name+nyc@example.com",
     "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac", "ours"),
    (normal.google_email, "Jefferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com",
     "515d2f967f73864e76937ab2b897210a86fd286016903b1b08c3da07c75f513e", "ours"),
    (normal.google_email, "Jefferson.Loves.hiking@googlemail.com", "jeffersonloveshiking@googlemail.com",
     "2824967181c781aced84c32bf8bb51fc6401202eeff88263776f63c99df9314c", "ours"),
    (normal.google_phone, "+44-113-496-0987", "+441134960987",
     "0fac52d27ec377f8ad2f9de75d1f9bace693237e31868ae6f4616b8bbd0e94fb", "ours"),
    (normal.google_given_name, "Alex", "alex",
     "4135aa9dc1b842a653dea846903ddb95bfb8c5a10c504a7fa16e10bc31d1fdf0", "ours"),
    (normal.google_family_name, "Quinn", "quinn",
     "c512ca0c5c1e71be19f3356821e56732b5fb3ac894b0dbc5846d0b6920106fb3", "ours"),
    (normal.google_given_name, "Mrs. Mary Ann", "maryann",
     "16b3f07f0ec2f9dd127b71dc2e6c791b7d93116a1c3bc99d057eaa7a8a077e73", "own"),
    (normal.google_family_name, "O'Connor", "oconnor",
     "7a0fbfdf40cbeb97429bdb88f512cecd27f0d44b7e57986ab578423bb61936ac", "own"),
    (normal.google_email, "Dana@Example.com", "dana@example.com",
     "07e2f1394b0ea80e2adca010ea8318df697001a005ba7452720edda4b0ce57b3", "own"),
]  # fmt: skip
META = [
    (normal.meta_email, "mary@example.com", "mary@example.com",
     "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79", "agrees"),
    (normal.meta_phone, "1-555-987-6543", "15559876543",
     "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e", "agrees"),
    (normal.meta_email, "John_Smith@gmail.com", "john_smith@gmail.com",
     "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f", "agrees"),
    (normal.meta_phone, "(650)555-1212", "16505551212",
     "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176", "agrees"),
    (normal.meta_name, "Mary", "mary",
     "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec", "agrees"),
    (normal.meta_name, "정", "정",
     "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14", "agrees"),
    (normal.meta_name, "Valéry", "valéry",
     "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c", "agrees"),
    (normal.meta_name, unicodedata.normalize("NFD", "Valéry"), "valéry",
     "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c", "agrees"),
    (normal.meta_country, "United States", "us",
     "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621", "agrees"),
    (normal.meta_place, "San Francisco", "sanfrancisco",
     "1a6bd4d9d79dc0a79b53795c70d3349fa9e38968a3fbefbfe8783efb1d2b6aac", "ours"),
    (normal.meta_place, "New York", "newyork",
     "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5", "ours"),
    (normal.meta_place, "ca", "ca",
     "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126", "ours"),
    (normal.meta_country, "GB", "gb",
     "0b407281768f0e833afef47ed464b6571d01ca4d53c12ce5c51d1462f4ad6677", "ours"),
    (normal.meta_zip, "94035-1234", "94035",
     "1794327a4d443904421f5ca1f3d72d0a62ba2f0770d80755ec2220fc0efb052e", "ours"),
    (lambda value, _: normal.meta_zip(value, "GB"), "M1 1AE", "m11ae",
     "1dc694c2070e697769fb959b50671d76cafd430d8ca191fbdd0affcaea344ac5", "ours"),
    (lambda value, _: normal.meta_zip(value, "FR"), "75018", "75018",
     "8dc3075ea745609c169d1c120d3fcd1c42673d16f18b423f4374e894d34a098a", "ours"),
    (normal.meta_gender, "F", "f",
     "252f10c83610ebca1a059c0bae8255eba2f95be4d1d7bcfa89d7248a82d9f111", "ours"),
    (normal.meta_gender, "M", "m",
     "62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a", "ours"),
    (normal.meta_year, "1997", "1997",
     "0985b889a1fe4f4e1fb925061ac6fb2247f10875f5fcbe63eec2ab55ed68970e", "ours"),
    (normal.meta_month, 2, "02",
     "a953f09a1b6b6725b81956e9ad0b1eb49e3ad40004c04307ef8af6246a054116", "ours"),
    (normal.meta_day, "16", "16",
     "b17ef6d19c7a5b1ee83b907c595526dcb1eb06db8227d650d5dda0a9f4ce8cd9", "ours"),
    (normal.meta_name, "Smith", "smith",
     "6627835f988e2c5e50533d491163072d3f4f41f5c8b04630150debb3722ca2dd", "ours"),
    (normal.meta_phone, "+44 7911 123456", "447911123456",
     "40b5c38342a9c584ec707e8679b003f8c779c6aaa138c976ef94e049cc05208f", "ours"),
    (normal.meta_email, "cloudy.sanfrancisco+shopping@gmail.com", "cloudy.sanfrancisco+shopping@gmail.com",
     "8dd4a9bf850242873c14976125edabc35096192b784626a5641a7d2de56e3c1e", "own"),
]  # fmt: skip

ALONE = [
    normal.google_email,
    normal.google_given_name,
    normal.google_family_name,
    normal.meta_email,
    normal.meta_name,
    normal.meta_initial,
    normal.meta_gender,
    normal.meta_place,
    normal.meta_country,
    normal.meta_device,
    normal.meta_year,
    normal.meta_month,
    normal.meta_day,
    normal.country,
]
OF_A_COUNTRY = [
    normal.google_phone,
    normal.meta_phone,
    normal.google_postal_code,
    normal.meta_zip,
]
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ADDRESSES = st.from_regex(r"[A-Za-z][A-Za-z0-9.+_-]{0,12}@[A-Za-z]{1,9}\.(com|DE|org)", fullmatch=True)
NAMES = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Zs"]), max_size=20) | st.sampled_from(
    [
        "Zoë Müller",
        "Đặng Thị",
        "ΟΔΥΣΣΕΥΣ",
        "İstanbul",
        "José María",
        "李 小龙",
        "مريم",
        "नेहा",
        "Mrs. Mary Ann",
        "O’Neill, Jr.",
    ]
)


def made(function, value, region="US"):
    return function(value, region) if function in OF_A_COUNTRY or function.__name__ == "<lambda>" else function(value)


@pytest.mark.parametrize(("function", "value", "text", "digest", "source"), GOOGLE + META)
def test_a_published_value_has_its_published_digest(function, value, text, digest, source):
    assert made(function, value) == text
    assert sha256(text) == digest


def test_the_vectors_are_all_there():
    assert [len(GOOGLE), len(META)] == [14, 24]
    assert sum(source == "agrees" for *_, source in GOOGLE + META) == 13


CORPUS = [
    "A.b+c@Gmail.com",
    "Kim@Example.org",
    "Mrs. Mary-Ann O'Neill, Jr.",
    "Zoë",
    "李 小龙",
    "(650)555-1212",
    "2",
    "f",
    "us",
    "SW1A 1AA",
]
"""Values of all kinds; what the rules make of them is, as a hash, in OUTCOMES by the version of the rules."""
OUTCOMES = {
    "google-2026-08": "ddf3685cad6071b0",
    "meta-2026-04": "cdadb104acd5df8b",
}


@pytest.mark.parametrize(("version", "prefix"), [(normal.GOOGLE, "google_"), (normal.META, "meta_")])
def test_other_rules_are_another_version(version, prefix):
    rules = [function for function in ALONE + OF_A_COUNTRY if function.__name__.startswith(prefix)]
    told = [[function.__name__, *(made(function, value) for value in CORPUS)] for function in rules]
    assert hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16] == OUTCOMES[version], (
        "give the rules a new version"
    )


def test_base64_of_googles_own_vectors():
    for (_, _, text, *_), published in zip(
        GOOGLE,
        ["UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=", "+09zpuxf23B31WTN0iw1VLQ85JFoVQw7EsVHt4xRezA="],
        strict=False,
    ):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() == published


def test_a_date_of_birth_begins_with_its_year_and_any_other_order_is_not_guessed():
    assert normal.birth_date("1997-02-16") == normal.birth_date("19970216") == ("1997", "02", "16")
    whole = "".join(normal.birth_date("1997-02-16"))
    assert sha256(whole) == "01acdbf6ec7b4f478a225f1a246e5d6767eeab1a7ffa17f025265b5b94f40f0c", "agrees, of 2/16/1997"
    for other in ("2/16/1997", "16.2.1997", "1997-13-01", "1997", None, 19970216.5):
        assert normal.birth_date(other) is None


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (normal.google_given_name, "Đặng", "đặng"),
        (normal.google_given_name, "李 小龙", "李小龙"),
        (normal.google_family_name, "King, Jr.", "king"),
        (normal.google_family_name, "Nguyễn III", "nguyễn"),
        (normal.google_given_name, "Dr. Zoë", "zoë"),
        (normal.meta_name, "José  María", "josé maría"),
        (normal.meta_name, "O’Neill", "oneill"),
        (normal.meta_name, "ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        (normal.meta_initial, "Ångström", "å"),
        (normal.meta_place, "São Paulo", "sãopaulo"),
        (normal.meta_place, "नई दिल्ली", "नईदिल्ली"),
        (normal.google_postal_code, "94043-1351", "94043-1351"),
        (normal.google_postal_code, "9404", None),
        (normal.meta_country, "Germany", "de"),
        (normal.meta_country, "XX", None),
        (normal.meta_country, unicodedata.normalize("NFD", "Åland Islands"), "ax"),
        (normal.meta_device, "38400000-8CF0-11BD-B23E-10B96E40000D", "38400000-8cf0-11bd-b23e-10b96e40000d"),
        (normal.meta_device, "38400000", None),
        (normal.google_email, "kim @ example.com", "kim@example.com"),
        (normal.meta_email, "kim @ example.com", None),
        (normal.google_email, "...@gmail.com", None),
        (normal.google_email, "+tag@gmail.com", None),
        (normal.google_email, "kim@localhost", None),
        (normal.google_email, "kim@@example.com", None),
        (normal.meta_email, "jörg@exämple.de", "jörg@exämple.de"),
    ],
)
def test_names_of_all_the_world_are_kept_and_what_is_no_such_value_is_none(function, value, text):
    assert made(function, value) == text


@pytest.mark.parametrize(
    ("value", "region", "text"),
    [
        ("030 123456", "DE", "+4930123456"),
        ("030 123456", "Germany", "+4930123456"),
        ("030 123456", None, None),
        ("0044 113 496 0987", "DE", "+441134960987"),
        ("+44 (0)113 496 0987", "US", "+441134960987"),
        ("(800)555-0100", "US", "+18005550100"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("12", "US", None),
        ("call me", "US", None),
        (4930123456, "DE", "+4930123456"),
        (None, "DE", None),
        (True, "DE", None),
    ],
)
def test_a_number_is_read_as_its_country_dials_and_without_one_not_at_all(value, region, text):
    assert normal.e164(value, region) == text


def test_a_hash_is_taken_as_one_only_where_it_is_declared_to_be():
    digest = sha256("kim@example.com")
    assert normal.hashed(f" {digest.upper()} ") == digest
    assert [normal.hashed(one) for one in ("kim@example.com", digest[:-1], "", None)] == [None] * 4
    assert normal.google_email(digest) is None


def test_nothing_has_no_hash():
    with pytest.raises(ValueError, match="nobody"):
        sha256("")


@given(LETTERS | ADDRESSES | NAMES)
@example("İ")
@example("Mr Mr Smith")
@example("ǰ̣")
def test_what_is_normal_stays_as_it_is(text):
    for function in ALONE:
        once = function(text)
        assert once is None or function(once) == once, function.__name__


@given(NAMES | ADDRESSES, st.sampled_from([" ", "\t", "\u00a0", "\u2003", "\n"]))
def test_white_space_around_and_the_form_of_unicode_make_no_difference(text, space):
    for function in ALONE:
        expected = function(unicodedata.normalize("NFC", text))
        assert function(unicodedata.normalize("NFD", text)) == expected, function.__name__
        assert function(f"{space}{text}{space}") == expected, function.__name__


@given(ADDRESSES | st.text(st.characters(max_codepoint=127), max_size=20))
def test_case_makes_no_difference(text):
    for function in ALONE:
        assert function(text.upper()) == function(text.lower()), function.__name__


@given(
    st.from_regex(r"[a-z0-9_+.-]{0,70}@[a-z0-9.-]{0,12}\.?(com|xn--exmple-cua|test|c)", fullmatch=True)
    | st.from_regex(r"[a-zé'\"]{1,5}@[a-zä.]{1,9}\.de", fullmatch=True)
)
@example("a@" + "b" * 63 + ".com")
@example("a@" + "b" * 64 + ".com")
@example("a" * 64 + "@example.com")
@example("a" * 65 + "@example.com")
@example("a" * 60 + "@" + ".".join(["b" * 40] * 5) + ".com")
def test_an_address_is_what_the_library_takes_for_one(text):
    try:
        validate_email(text, check_deliverability=False)
        expected = text
    except EmailNotValidError:
        expected = None
    assert normal.meta_email(text) == (None if expected is None else unicodedata.normalize("NFC", expected))


@given(ADDRESSES)
def test_an_address_has_no_white_space_for_google_wherever_it_stood(text):
    assume(normal.google_email(text))
    assert normal.google_email(" ".join(text)) == normal.google_email(text)


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text()),
    st.none() | st.text(max_size=3) | st.sampled_from(["US", "DE", "gb"]),
)
@example("\ud800", "US")
@example("1" * 5000, "US")
@example("a" * 300 + "@example.com", None)
def test_nothing_raises(value, region):
    for function in ALONE:
        told = function(value)
        assert told is None or (isinstance(told, str) and told)
    for function in OF_A_COUNTRY:
        told = function(value, region)
        assert told is None or (isinstance(told, str) and told)
    normal.birth_date(value)
    normal.hashed(value)


@given(st.from_regex(r"\+?[0-9 ()./-]{5,18}", fullmatch=True), st.sampled_from(["US", "DE", "GB", "IT"]))
@example("+270000000", "US")
def test_a_number_that_is_normal_needs_no_country_any_more(text, region):
    told = normal.e164(text, region)
    if told is not None:
        assert normal.e164(told, None) == told
        assert normal.meta_phone(told, None) == told.removeprefix("+")
