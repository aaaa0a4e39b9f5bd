"""How does a call to Amazon say who we are? Signed (Signature Version 4) by botocore as it leaves.

A signature holds for minutes, and a role's credentials for hours: both are asked for at each call.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tailrace.destinations.base import Failure, HttpRequest, Reply
from tailrace.destinations.transport import HttpSession
from tailrace.errors import DestinationError


class SignedSession:
    """HTTP whose calls are signed for a service and region, with these credentials."""

    def __init__(self, inner: HttpSession, credentials: Any, service: str, region: str) -> None:
        self._inner, self._credentials, self._service, self._region = inner, credentials, service, region
        self._auth, self._awsrequest = import_module("botocore.auth"), import_module("botocore.awsrequest")
        self._refused = import_module("botocore.exceptions").BotoCoreError

    def perform(self, request: HttpRequest) -> Reply | Failure:
        """Make the call. When there are no credentials now, nothing leaves."""
        told = self._awsrequest.AWSRequest(request.method, request.url, dict(request.headers), request.body)
        try:
            frozen = self._credentials.get_frozen_credentials()
            self._auth.SigV4Auth(frozen, self._service, self._region).add_auth(told)
        except self._refused:
            return Failure(False, "credentials:not_available")
        return self._inner.perform(
            HttpRequest(request.method, request.url, dict(told.headers), request.body, request.acts)
        )

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()


def credentials(given: tuple[str, str, str | None] | None, extra: str) -> Any:
    """Return these credentials (key, secret, session token), else those that boto3 finds (profile, role).

    Raises DestinationError when there are none, or boto3 is not installed; `extra` is what would bring it.
    """
    try:
        botocore, session = import_module("botocore.credentials"), import_module("botocore.session")
    except ImportError as error:
        raise DestinationError(
            f"boto3 is not installed; expected it to sign calls to Amazon: install the extra,"
            f" `pip install 'tailrace[{extra}]'`"
        ) from error
    if given is not None:
        return botocore.Credentials(*given)
    found = session.get_session().get_credentials()
    if found is None:
        raise DestinationError(
            "no credentials of Amazon were found; expected `access_key_id_env` and `secret_access_key_env` in"
            " destinations.yml, or a profile or role that boto3 finds"
        )
    return found
