"""Files in a folder of another machine, over SSH: one per batch, CSV, JSON lines or Parquet.

Documentation: draft-ietf-secsh-filexfer-02 (version 3, what servers speak), and OpenSSH's PROTOCOL for
posix-rename@openssh.com. The files and their folders are those of `files`. A file is written as `.name.part`, its size
is compared, and it is renamed; a repeat finds its name and size there and is accepted. The host's key must be pinned.
The protocol has no codes for most of what can go wrong: what a server refuses without saying why is put off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tailrace.destinations.base import (
    Batch,
    Capabilities,
    FileWrite,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    Secrets,
    meaning,
)
from tailrace.destinations.remote import SftpSession
from tailrace.destinations.sheets import SheetSettings, build_file
from tailrace.destinations.stores import ALREADY_THERE, STORED, StoreAnswer, StoreProbe

NAME = "sftp"


class Settings(SheetSettings):
    """A server and a folder of it that is there. `host_keys` are its public keys (`ssh-ed25519 AAAA…`), or
    `known_hosts` is a file that has them; one of the two is needed.

    `key_env` names the variable with our private key, `passphrase_env` that of its passphrase.
    """

    host: str
    port: int = Field(default=22, ge=1, le=65535)
    username: str
    folder: str
    host_keys: list[str] = Field(default_factory=list)
    known_hosts: str | None = None
    key_env: str | None = None
    passphrase_env: str | None = None
    password_env: str | None = None
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _knows_the_host(self) -> Self:
        if not self.host_keys and self.known_hosts is None:
            raise ValueError("the host's key must be pinned: `host_keys` (see `ssh-keyscan HOST`) or `known_hosts`")
        if self.key_env is None and self.password_env is None:
            raise ValueError("there is nothing to log in with: `key_env` or `password_env`")
        return self


CAPABILITIES = Capabilities(
    channels=frozenset(), takes_batches=True, is_idempotent=True, needs_live=True, slots=1, batch_rows=50_000
)

CODES = {
    STORED: Meaning(Outcome.ACCEPTED, "the file is there"),
    ALREADY_THERE: Meaning(Outcome.ACCEPTED, "the file was there already"),
    "cut_short": Meaning(Outcome.RETRY_LATER, "not all of it came there; it was not renamed", is_systemic=True),
    "host_key_changed": Meaning(Outcome.BLOCKED, "the host has another key than the one that is pinned", True),
    "host_key_unknown": Meaning(Outcome.BLOCKED, "no key of this host is pinned", is_systemic=True),
    "login_refused": Meaning(Outcome.BLOCKED, "the server refused user, key or password", is_systemic=True),
    "no_folder": Meaning(Outcome.BLOCKED, "the folder is not there", is_systemic=True),
    "not_allowed": Meaning(Outcome.BLOCKED, "this user may not write there", is_systemic=True),
    "refused_by_server": Meaning(Outcome.RETRY_LATER, "the server refuses, and does not say why", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> SftpSession:
    """Return a session that connects when it is first used."""
    return SftpSession(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        folder=settings.folder,
        host_keys=settings.host_keys,
        known_hosts=settings.known_hosts,
        key=secrets.get("key_env"),
        passphrase=secrets.get("passphrase_env"),
        password=secrets.get("password_env"),
        timeout=settings.timeout_seconds,
    )


def build_request(settings: Settings, secrets: Secrets, item: Item) -> FileWrite:
    """Return the file for one batch."""
    if not isinstance(item, Batch):
        raise RefusedError("destination:takes_no_messages")
    return build_file(settings, item)


def read_response(settings: Settings, item: Item, reply: StoreAnswer) -> Result:
    """Return what became of the file."""
    return read_probe(settings, reply)


def build_probe(settings: Settings, secrets: Secrets) -> StoreProbe:
    """Return a question that changes nothing."""
    return StoreProbe()


def read_probe(settings: Settings, reply: StoreAnswer) -> Result:
    """Return accepted when we are let in and the folder is there."""
    known = meaning(CODES, reply.code)
    return Result(known.outcome, reply.code, is_systemic=known.is_systemic)
