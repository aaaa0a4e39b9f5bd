"""Is a link to unsubscribe one that we made? Its signature says so: of the person's key, by a secret of the company's.

A signature is the first 32 hex digits of HMAC-SHA256 over `unsubscribe:` and the key. It does not expire: a way
out works for as long as the mail is kept. Who answers the link asks `is_signed`, or does the same in its own language.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from tailrace.errors import TailraceError

SIGNATURE = "{signature}"
"""What stands in `unsubscribe_url` where the signature is to be."""
UNSIGNED = "unsigned"
"""What stands there in a preview."""
SHORTEST_SECRET = 16
_LENGTH = 32


def sign(secrets: str, person_id: str) -> str:
    """Return the signature of a person's key by the first of the secrets, which are parted by white space.

    Raises TailraceError for a secret that is too short to be one.
    """
    secret = (secrets.split() or [""])[0]
    if len(secret) < SHORTEST_SECRET:
        raise TailraceError(
            f"the secret of `unsubscribe_secret_env` has {len(secret)} characters; expected at least {SHORTEST_SECRET}:"
            " `openssl rand -hex 32` makes one"
        )
    return _signature(secret, person_id)


def is_signed(secrets: str, person_id: str, signature: str) -> bool:
    """Return whether one of the secrets, which are parted by white space, made the signature of the person's key."""
    given = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(_signature(secret, person_id).encode(), given) for secret in secrets.split())


def _signature(secret: str, person_id: str) -> str:
    return hmac.new(secret.encode(), f"unsubscribe:{person_id}".encode(), sha256).hexdigest()[:_LENGTH]
