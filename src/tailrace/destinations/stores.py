"""How does a file come to stand in a folder of this machine, or in a bucket? Whole, under a name that is never reused.

A file whose name is there already is the same file, and is left as it is: whoever has read it need not look again.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tailrace import crash, durable
from tailrace.destinations.base import Failure, FileWrite, token
from tailrace.errors import DestinationError

STORED = "stored"
ALREADY_THERE = "already_there"

REASONS = {
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EACCES: "not_allowed",
    errno.EPERM: "not_allowed",
    errno.EROFS: "read_only",
    errno.ENOENT: "no_folder",
    errno.ENOTDIR: "no_folder",
    errno.ENAMETOOLONG: "name_too_long",
    errno.EIO: "disk_failed",
    errno.ESTALE: "disk_failed",
}
"""What a system says, as a code of ours."""

_KINDS = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class StoreProbe:
    """A question that changes nothing: is the place there, and may we write to it?"""


@dataclass(frozen=True)
class StoreAnswer:
    """What became of a file: `stored`, `already_there`, or a code that says why not."""

    code: str


class FolderSession:
    """Writes files below a folder that is there: aside, fsynced, renamed, and the folders' names made durable.

    The folder itself is not made: where a disk is not mounted, its place would fill another one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def perform(self, request: FileWrite | StoreProbe) -> StoreAnswer:
        """Put the file in place. Until it is renamed there is nothing that a reader would take for it."""
        try:
            if not self._root.is_dir():
                return StoreAnswer("no_folder")
            if isinstance(request, StoreProbe):
                return StoreAnswer(STORED if os.access(self._root, os.W_OK | os.X_OK) else "not_allowed")
            return self._put(request)
        except OSError as error:
            return StoreAnswer(REASONS.get(error.errno or 0, f"errno_{error.errno}"))

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Nothing is open."""

    def _put(self, request: FileWrite) -> StoreAnswer:
        folder = self._root / request.folder
        final = folder / request.name
        folder.mkdir(parents=True, exist_ok=True)
        was_there = final.exists()
        # What a process that was killed had begun is of no use to anybody.
        for left in folder.glob(f".{request.name}.*.tmp"):
            left.unlink(missing_ok=True)
        if not was_there:
            try:
                durable.write(final, request.content)
            except OSError:
                with suppress(OSError):
                    (folder / f".{request.name}.{os.getpid()}.tmp").unlink(missing_ok=True)
                raise
        crash.here("store.put")
        while folder != self._root:
            durable.fsync_dir(folder)
            folder = folder.parent
        durable.fsync_dir(self._root)
        return StoreAnswer(ALREADY_THERE if was_there else STORED)


class BucketSession:
    """Puts objects into a bucket of an S3-compatible store, each with its SHA-256 for the store to compare.

    Keys that are not given are found as boto3 finds them: AWS_ACCESS_KEY_ID, AWS_PROFILE, the machine's role. Raises
    DestinationError when the library is missing.
    """

    def __init__(self, bucket: str, prefix: str, *, timeout: float, **options: str | None) -> None:
        try:
            self._library, config = import_module("boto3"), import_module("botocore.config")
            self._errors: Any = import_module("botocore.exceptions")
        except ImportError as error:
            raise DestinationError(
                "boto3 is not installed; expected it to write to `s3://…`: install the extra, `pip install"
                " 'tailrace[s3]'`"
            ) from error
        self._bucket, self._prefix, self._options = bucket, prefix, options
        # To try again is delivery's.
        self._config = config.Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=min(timeout, 10.0),
            read_timeout=timeout,
        )
        self._client: Any = None
        self._is_conditional = True

    def perform(self, request: FileWrite | StoreProbe) -> StoreAnswer | Failure:
        """Put the object, unless one of its name is there."""
        try:
            if self._client is None:
                session = self._library.session.Session()
                self._client = session.client("s3", config=self._config, **self._options)
            if isinstance(request, StoreProbe):
                self._client.head_bucket(Bucket=self._bucket)
                return StoreAnswer(STORED)
            answer = self._put(request)
        except self._errors.ClientError as error:
            return self._said(error)
        except self._errors.BotoCoreError as error:
            return self._failed(error)
        crash.here("store.put")
        # A proxy's page is an answer with 200 too.
        return StoreAnswer(STORED) if answer.get("ETag") else StoreAnswer("no_etag")

    def flush(self) -> None:
        """Nothing is buffered here."""

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _put(self, request: FileWrite) -> Any:
        wanted = {
            "Bucket": self._bucket,
            "Key": f"{self._prefix}{request.folder}/{request.name}",
            "Body": request.content,
            "ContentType": _KINDS[request.name.rpartition(".")[2]],
            "ChecksumSHA256": base64.b64encode(hashlib.sha256(request.content).digest()).decode(),
        }
        if self._is_conditional:
            try:
                return self._client.put_object(**wanted, IfNoneMatch="*")
            except self._errors.ClientError as error:
                if error.response["Error"]["Code"] != "NotImplemented":
                    raise
                # Some stores do not know the condition; the same name has the same content there too.
                self._is_conditional = False
        return self._client.put_object(**wanted)

    def _said(self, error: Any) -> StoreAnswer:
        code = str(error.response["Error"].get("Code", ""))
        if code in {"PreconditionFailed", "412"}:
            return StoreAnswer(ALREADY_THERE)
        return StoreAnswer(token(code, "unnamed"))

    def _failed(self, error: Any) -> StoreAnswer | Failure:
        of = self._errors
        said: tuple[tuple[tuple[Any, ...], StoreAnswer | Failure], ...] = (
            ((of.NoCredentialsError, of.PartialCredentialsError, of.ProfileNotFound), StoreAnswer("no_credentials")),
            ((of.ParamValidationError,), StoreAnswer("InvalidBucketName")),
            ((of.ConnectTimeoutError,), Failure(False, "connect:timeout")),
            ((of.EndpointConnectionError,), Failure(False, "connect:refused")),
            ((of.SSLError,), Failure(False, "connect:tls")),
            ((of.ReadTimeoutError,), Failure(True, "answer:timeout")),
            ((of.ConnectionClosedError,), Failure(True, "answer:reset")),
        )
        return next((what for kinds, what in said if isinstance(error, kinds)), Failure(True, "answer:broken"))
