from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import Header
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.destinations import mime
from tailrace.destinations.base import Message, RefusedError, Rendered

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
SENDER = ("Acme", "hello@acme.test")


def message(subject="Hello", text="Hi\n", html="<p>Hi</p>", address="kim@people.test", headers=None):
    return Message("abc123", 7, "email", "welcome", "hello", address, Rendered(subject, html, text, headers or {}), AT)


def parsed(**parts):
    return message_from_bytes(mime.build(message(**parts), SENDER), policy=default)


def test_it_has_a_text_part_before_the_html_part_and_an_id_made_of_the_intent():
    mail = parsed()
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail["message-id"] == "<abc123@acme.test>"
    assert mail["to"] == "kim@people.test"
    assert mail["date"].datetime == AT


def test_without_html_it_is_plain_text():
    assert parsed(html=None).get_content_type() == "text/plain"


def test_without_text_it_is_refused():
    with pytest.raises(RefusedError, match="message:no_text"):
        mime.build(message(text=" \n"), SENDER)


def test_a_long_link_to_unsubscribe_is_neither_folded_nor_encoded():
    link = f"<https://acme.test/u?{'x' * 300}>"
    content = mime.build(message(headers={"List-Unsubscribe": link}), SENDER)
    assert f"List-Unsubscribe: {link}\r\n".encode() in content


def test_the_same_message_is_the_same_bytes():
    assert mime.build(message(), SENDER) == mime.build(message(), SENDER)


INJECTIONS = [
    "Hello\r\nBcc: victim@evil.test",
    "Hello\nBcc: victim@evil.test",
    "Hello\rBcc: victim@evil.test",
    "Hello\x00",
    "Hello\x85there",
    "Hello\u2028there",
    "=?utf-8?q?Hello=0D=0ABcc:_victim@evil.test?=",
    "=?utf-8?b?SGVsbG8NCkJjYzogdmljdGltQGV2aWwudGVzdA==?=",
    "Zoë =?utf-8?q?Hello=0ABcc:_victim@evil.test?=",
    Header("=?utf-8?q?=0ABcc:_victim@evil.test?=", "utf-8").encode(),
    "=?no-such-charset?q?Hello?=",
    "=?utf-8?b?%%%?= =?utf-8?q?=0A?=",
]


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("place", ["subject", "header", "sender"])
def test_a_control_character_is_refused_in_every_header_also_after_decoding(value, place):
    subject = value if place == "subject" else "Hello"
    headers = {"List-Unsubscribe": value} if place == "header" else {}
    named = (value if place == "sender" else "Acme", "hello@acme.test")
    one = Message("abc", 7, "email", "c", "s", "kim@people.test", Rendered(subject, None, "Hi", headers, named), AT)
    with pytest.raises(RefusedError):
        mime.build(one, mime.sender_of(one, None))


@pytest.mark.parametrize("name", ["Bcc", "Cc", "To", "X-Anything", "List-Id\nBcc"])
def test_a_header_that_is_not_on_the_list_is_refused(name):
    with pytest.raises(RefusedError, match="header:not_allowed"):
        mime.build(message(headers={name: "victim@evil.test"}), SENDER)


@pytest.mark.parametrize(
    "address",
    [
        "a@x.com, victim@evil.test",
        "a@x.com,victim@evil.test",
        '"a@x.com" <victim@evil.test>',
        "Kim <kim@people.test>",
        "kim@people.test\r\nRCPT TO:<victim@evil.test>",
        "kim@people.test>",
        "kim",
        "@people.test",
        "kim@localhost",
        "kim@[127.0.0.1]",
        "jörg@people.test",
        "",
        "a@b@people.test",
    ],
)
def test_anything_but_one_bare_address_is_refused_without_repeating_it(address):
    with pytest.raises(RefusedError) as caught:
        mime.build(message(address=address), SENDER)
    assert not address or address not in str(caught.value)


def test_a_domain_that_is_not_ascii_goes_out_in_idna():
    assert mime.mailbox("kim@exämple.com") == "kim@xn--exmple-cua.com"


@given(
    subject=st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=300),
    text=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=3000),
)
def test_any_words_arrive_as_they_were_in_lines_that_any_relay_takes(subject, text):
    if not subject.strip() or not text.strip() or "=?" in subject:
        return
    content = mime.build(message(subject=subject, text=text, html=text), SENDER)
    assert content.isascii()
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    mail = message_from_bytes(content, policy=default)
    assert not mail.defects
    plain, page = (part.get_payload(decode=True).decode() for part in mail.iter_parts())
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    assert plain.replace("\r\n", "\n") in (wanted, wanted + "\n", wanted.rstrip("\n"))
    assert page.replace("\r\n", "\n") in (wanted, wanted + "\n", wanted.rstrip("\n"))
    from email.header import decode_header, make_header

    raw = message_from_bytes(content)["subject"]
    assert str(make_header(decode_header(raw))).replace("\r\n", "").split() == subject.split()


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = mime.mailbox(text)
    except RefusedError:
        return
    assert address.isascii()
    assert address.count("@") == 1
    assert not set(address) & set(' ,;<>"\r\n\x00')


HTTPS, MAILTO = "<https://acme.test/u?p=7>", "<mailto:out@acme.test>"
ONE_CLICK = "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (HTTPS, ONE_CLICK),
        (f"{MAILTO}, {HTTPS}", ONE_CLICK),
        ("<HTTPS://acme.test/u>", ONE_CLICK),
        (MAILTO, None),
        ("<http://acme.test/u>", None),
        (f"{HTTPS}, <https://acme.test/v>", None),
    ],
)
def test_one_https_address_to_unsubscribe_is_one_click_and_anything_else_is_not(link, says):
    assert parsed(headers={"List-Unsubscribe": link})["List-Unsubscribe-Post"] == says


def test_where_the_page_takes_no_post_none_is_promised():
    content = mime.build(message(headers={"List-Unsubscribe": HTTPS}), SENDER, one_click=False)
    assert b"List-Unsubscribe: " in content
    assert b"List-Unsubscribe-Post" not in content


@pytest.mark.parametrize(
    "headers",
    [
        {"List-Unsubscribe": HTTPS, "List-Unsubscribe-Post": "One-Click"},
        {"List-Unsubscribe": MAILTO, "List-Unsubscribe-Post": ONE_CLICK},
        {"List-Unsubscribe-Post": ONE_CLICK},
    ],
)
def test_a_promise_of_one_click_that_no_address_keeps_is_refused(headers):
    with pytest.raises(RefusedError, match="header:not_one_click"):
        mime.build(message(headers=headers), SENDER)


@given(
    local=st.text("aZ9._+-'!é \"@(", min_size=0, max_size=66),
    domain=st.sampled_from(
        ["people.test", "Mail.People.TEST", "münchen.example", "localhost", "x", "-a.test", "", "a.b" * 80 + ".test"]
    ),
)
def test_a_plain_address_is_read_as_any_other(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    try:
        expected = mime._valid(address)
    except RefusedError as error:
        with pytest.raises(RefusedError, match=re.escape(str(error))):
            mime.mailbox(address)
    else:
        assert mime.mailbox(address) == expected
