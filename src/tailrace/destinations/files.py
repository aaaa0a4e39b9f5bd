"""Files in a folder of this machine or in an S3-compatible bucket: one per batch, CSV, JSON lines or Parquet.

Documentation: docs.aws.amazon.com, PutObject. A sync's `target` is a folder below `folder` (the sync's name when it
has none), with `changes` (rows to add or to update), `removals` (their keys) and, for `append`, `events` in it. Rows
of changes and removals have `_op` (`add`, `update`, `remove`) and `_at`, when it was written: who wants the mirror
itself takes each key's newest row. A file stands there whole or not at all, and is never written twice: a repeat finds
its name taken and is accepted (in a bucket by `If-None-Match`). A bucket takes about 3,500 writes a second and 5 GB an
object; it throttles with 503 SlowDown.
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
from tailrace.destinations.sheets import SheetSettings, build_file
from tailrace.destinations.stores import ALREADY_THERE, STORED, BucketSession, FolderSession, StoreAnswer, StoreProbe

NAME = "files"
SCHEME = "s3://"


class Settings(SheetSettings):
    """`folder` is absolute, or `s3://bucket/prefix`. Of a bucket: `region`, `endpoint_url` of a store that is not
    Amazon's, and the variables with the keys, where boto3 shall not find its own.

    `private_network` allows an `endpoint_url` that begins with http://.
    """

    folder: str
    region: str | None = None
    endpoint_url: str | None = None
    access_key_env: str | None = None
    secret_key_env: str | None = None
    private_network: bool = False
    timeout_seconds: float = Field(default=60.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if self.folder.startswith(SCHEME):
            if not self.folder.removeprefix(SCHEME).partition("/")[0]:
                raise ValueError("`folder` names no bucket; expected `s3://bucket/prefix`")
        elif not self.folder.startswith("/"):
            raise ValueError("`folder` must be absolute, or begin with s3://")
        elif self.endpoint_url or self.region or self.access_key_env or self.secret_key_env:
            raise ValueError(
                "`endpoint_url`, `region` and keys are a bucket's; expected a `folder` such as s3://bucket"
            )
        schemes = ("https://", "http://") if self.private_network else ("https://",)
        if self.endpoint_url is not None and not self.endpoint_url.startswith(schemes):
            raise ValueError("`endpoint_url` must begin with https:// (http:// only with `private_network: true`)")
        if (self.access_key_env is None) != (self.secret_key_env is None):
            raise ValueError("`access_key_env` and `secret_key_env` go together")
        return self


CAPABILITIES = Capabilities(
    channels=frozenset(), takes_batches=True, is_idempotent=True, needs_live=True, slots=1, batch_rows=50_000
)

CODES = {
    STORED: Meaning(Outcome.ACCEPTED, "the file is there"),
    ALREADY_THERE: Meaning(Outcome.ACCEPTED, "the file was there already"),
    "name_too_long": Meaning(Outcome.REJECTED, "the name is too long for the file system"),
    "no_folder": Meaning(Outcome.BLOCKED, "the folder is not there: make it, or mount its disk", is_systemic=True),
    "not_allowed": Meaning(Outcome.BLOCKED, "this user may not write there", is_systemic=True),
    "read_only": Meaning(Outcome.BLOCKED, "the file system is mounted read-only", is_systemic=True),
    "no_space": Meaning(Outcome.RETRY_LATER, "the disk is full", is_systemic=True),
    "disk_failed": Meaning(Outcome.RETRY_LATER, "the disk failed", is_systemic=True),
    "no_credentials": Meaning(Outcome.BLOCKED, "there are no keys for the store", is_systemic=True),
    "no_etag": Meaning(Outcome.UNKNOWN, "an answer that is not a store's"),
    "AccessDenied": Meaning(Outcome.BLOCKED, "the key may not do this in the bucket", is_systemic=True),
    "403": Meaning(Outcome.BLOCKED, "the key is wrong, or may not look into the bucket", is_systemic=True),
    "AllAccessDisabled": Meaning(Outcome.BLOCKED, "the bucket is closed", is_systemic=True),
    "AuthorizationHeaderMalformed": Meaning(Outcome.BLOCKED, "the bucket is in another region", is_systemic=True),
    "ExpiredToken": Meaning(Outcome.BLOCKED, "the keys are not valid any more", is_systemic=True),
    "InvalidAccessKeyId": Meaning(Outcome.BLOCKED, "there is no such key", is_systemic=True),
    "SignatureDoesNotMatch": Meaning(Outcome.BLOCKED, "the secret key is another one", is_systemic=True),
    "InvalidBucketName": Meaning(Outcome.BLOCKED, "this is no name of a bucket", is_systemic=True),
    "NoSuchBucket": Meaning(Outcome.BLOCKED, "there is no such bucket", is_systemic=True),
    "404": Meaning(Outcome.BLOCKED, "there is no such bucket", is_systemic=True),
    "PermanentRedirect": Meaning(Outcome.BLOCKED, "the bucket is in another region", is_systemic=True),
    "301": Meaning(Outcome.BLOCKED, "the bucket is in another region", is_systemic=True),
    "400": Meaning(Outcome.BLOCKED, "the store does not understand who asks", is_systemic=True),
    "QuotaExceeded": Meaning(Outcome.BLOCKED, "the bucket is full", is_systemic=True),
    "EntityTooLarge": Meaning(Outcome.REJECTED, "the file is too large for the store: lower `batch_rows`"),
    "KeyTooLongError": Meaning(Outcome.REJECTED, "the name is too long for the store"),
    "BadDigest": Meaning(Outcome.RETRY_LATER, "it came there damaged, and was not kept"),
    "ConditionalRequestConflict": Meaning(Outcome.RETRY_LATER, "somebody writes the same file just now"),
    "OperationAborted": Meaning(Outcome.RETRY_LATER, "the bucket is being changed"),
    "InternalError": Meaning(Outcome.RETRY_LATER, "the store failed and says so", is_systemic=True),
    "RequestTimeout": Meaning(Outcome.RETRY_LATER, "it came there too slowly", is_systemic=True),
    "RequestTimeTooSkewed": Meaning(Outcome.BLOCKED, "this machine's clock is wrong", is_systemic=True),
    "ServiceUnavailable": Meaning(Outcome.RETRY_LATER, "the store is not available", is_systemic=True),
    "SlowDown": Meaning(Outcome.RETRY_LATER, "the store throttles", is_systemic=True),
    "503": Meaning(Outcome.RETRY_LATER, "the store is not available", is_systemic=True),
}


def connect(settings: Settings, secrets: Secrets, files: Path) -> FolderSession | BucketSession:
    """Return a session that writes below the folder, or to the bucket."""
    if not settings.folder.startswith(SCHEME):
        return FolderSession(Path(settings.folder))
    bucket, _, prefix = settings.folder.removeprefix(SCHEME).partition("/")
    return BucketSession(
        bucket,
        f"{prefix.strip('/')}/" if prefix.strip("/") else "",
        timeout=settings.timeout_seconds,
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        aws_access_key_id=secrets.get("access_key_env"),
        aws_secret_access_key=secrets.get("secret_key_env"),
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
    """Return accepted when the place is there and we may write to it."""
    known = meaning(CODES, reply.code)
    return Result(known.outcome, reply.code, is_systemic=known.is_systemic)
