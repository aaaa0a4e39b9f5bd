"""What goes to a relay: signed as ours where we are told to, and verified as the world verifies it."""

from __future__ import annotations

import base64
import sys
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tailrace.destinations import dkim_signature, smtp
from tailrace.destinations.base import Message, Rendered, Secrets
from tailrace.destinations.connections import load_connections
from tailrace.errors import DefinitionError, DestinationError
from tailrace.settings import Settings

AT = datetime(2026, 3, 1, 6, tzinfo=UTC)
OUT = {"List-Unsubscribe": f"<https://acme.test/u?{'x' * 300}>"}


@pytest.fixture(scope="module")
def keys():
    """A private key as PEM, and the TXT record of its public half."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def sent(key, headers=None):
    settings = smtp.Settings(
        host="relay.test", dkim_domain="acme.test", dkim_selector="s1", dkim_key_env="K", **{"from": "hello@acme.test"}
    )
    words = Rendered("Zoë, hello", "<p>Hi</p>", "Hi\n.\n..dots\n", OUT if headers is None else headers)
    item = Message("abc", 7, "email", "c", "s", "kim@people.test", words, AT)
    return smtp.build_request(settings, Secrets({"dkim_key_env": key}), item).content


def verified(content, record):
    asked = []

    def dns(name, timeout=5):
        asked.append(name)
        return record

    is_good = dkim.verify(content, dnsfunc=dns)
    assert asked == [b"s1._domainkey.acme.test."]
    return is_good


def test_mail_is_signed_as_ours_over_both_list_headers(keys):
    content = sent(keys[0])
    assert verified(content, keys[1])
    header = content.partition(b"\r\nFrom:")[0].replace(b"\r\n", b"").replace(b" ", b"")
    names = header.partition(b";h=")[2].partition(b";")[0].split(b":")
    assert {b"list-unsubscribe", b"list-unsubscribe-post", b"subject", b"to", b"date"} <= set(names)
    assert b";t=%d;" % AT.timestamp() in header
    assert sent(keys[0]) == content, "the same message is the same bytes"


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        (b"List-Unsubscribe: <https://acme", b"List-Unsubscribe: <https://evil"),
        (b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""),
        (b"Subject: ", b"Subject: Re: "),
        (b"\r\nTo: ", b"\r\nFrom: evil@evil.test\r\nTo: "),
        (b"\r\nTo: ", b"\r\nReply-To: evil@evil.test\r\nTo: "),
        (b"..dots", b"..knots"),
    ],
)
def test_what_is_changed_or_added_on_the_way_breaks_the_signature(keys, there, instead):
    content = sent(keys[0])
    assert there in content
    assert not verified(content.replace(there, instead, 1), keys[1])


def test_a_key_may_stand_in_its_variable_on_one_line(keys):
    assert verified(sent(keys[0].replace("\n", "\\n")), keys[1])


@pytest.mark.parametrize("key", ["canary", "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n", ""])
def test_a_key_that_cannot_sign_is_told_when_the_connection_opens_and_not_shown(key):
    settings = smtp.Settings(host="relay.test", dkim_domain="acme.test", dkim_selector="s1", dkim_key_env="DKIM_KEY")
    with pytest.raises(DestinationError, match="`DKIM_KEY` does not hold a private RSA key") as caught:
        smtp.connect(settings, Secrets({"dkim_key_env": key}), Path())
    assert "canary" not in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dkim", None)
    dkim_signature._signer.cache_clear()
    try:
        with pytest.raises(DestinationError, match=r"pip install 'tailrace\[dkim\]'"):
            dkim_signature.check_key("x", "K")
    finally:
        dkim_signature._signer.cache_clear()


def test_half_a_signature_is_refused_with_its_line(tmp_path):
    (tmp_path / "destinations.yml").write_text(
        "connections:\n  relay: {type: smtp, host: a.test, dkim_domain: acme.test}\n"
    )
    with pytest.raises(DefinitionError, match=r"^destinations.yml:2: connection `relay`: .*go together"):
        load_connections(Settings(tmp_path / "data", tmp_path))
