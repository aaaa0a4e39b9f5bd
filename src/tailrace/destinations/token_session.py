"""How is one token kept for many calls? Asked for when there is none or it ends."""

from __future__ import annotations

from datetime import timedelta

from tailrace import clock
from tailrace.destinations import api, tokens
from tailrace.destinations.base import Failure, HttpReply, HttpRequest, Reply
from tailrace.destinations.transport import HttpSession

_EARLY = timedelta(minutes=1)
_SHORTEST = 60.0


class TokenSession:
    """HTTP whose calls carry a bearer token that the grant gives.

    While there is no token no call leaves: the answer is then that to the request for one, marked as `tokens.refusal`
    knows it.
    """

    def __init__(self, inner: HttpSession, grant: tokens.Grant) -> None:
        self._inner, self._grant = inner, grant
        self._token, self._until = "", tokens.LONG_AGO

    def perform(self, request: HttpRequest) -> Reply | Failure:
        """Make the call with the token."""
        no_token = self._renew()
        if no_token is not None:
            return no_token
        headers = {**request.headers, "authorization": f"Bearer {self._token}"}
        reply = self._inner.perform(HttpRequest(request.method, request.url, headers, request.body, request.acts))
        if isinstance(reply, HttpReply) and reply.status == 401:
            # Taken back before its time: the next call asks for another.
            self._token = ""
        return reply

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Close all connections."""
        self._inner.close()

    def _renew(self) -> Reply | Failure | None:
        now = clock.now()
        if self._token and now < self._until:
            return None
        reply = self._inner.perform(self._grant.request(now))
        if isinstance(reply, Failure):
            return Failure(False, f"token:{reply.code}")
        assert isinstance(reply, HttpReply)
        told = api.read_json(reply)
        if reply.status != 200 or not isinstance(told, dict) or not isinstance(told.get("access_token"), str):
            return tokens.refused(reply)
        seconds = told.get("expires_in")
        lasts = float(seconds) if isinstance(seconds, int | float) else _SHORTEST
        self._token, self._until = told["access_token"], now + timedelta(seconds=lasts) - _EARLY
        return None
