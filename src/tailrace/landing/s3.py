"""Which objects of an S3-compatible store does a URL mean, and how does one come here to be read?

Where the store is and who we are is boto3's business: AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_PROFILE and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tailrace.errors import DataError, TailraceError

SCHEME = "s3://"
_MAGIC = re.compile(r"[*?[]")
_PIECES = re.compile(r"(\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\])")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Object:
    """One object as it was listed: `etag` is another one as soon as its content is."""

    bucket: str
    key: str
    bytes: int
    etag: str
    mtime_ns: int

    @property
    def url(self) -> str:
        """Return the name by which the object goes in a load."""
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Listing:
    """What a URL means: the objects, and of each the parts of its name that were found and not said."""

    objects: tuple[tuple[Object, tuple[str, ...]], ...]
    is_found: bool


def find(url: str) -> Listing:
    """Return the object of this name, else all below this folder, else what the pattern finds (`**` for any folders).

    `is_found` is false for an object that was named. Raises DataError when the store cannot be asked.
    """
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    if not bucket:
        raise DataError(f"{url}: there is no bucket in this URL; expected one such as `s3://bucket/folder/*.jsonl.gz`")
    with _asking(url):
        named = _named(bucket, key)
        if named is not None:
            return Listing(((named, (key.rpartition("/")[2],)),), is_found=False)
        magic = _MAGIC.search(key)
        folder = key[: magic.start()].rpartition("/")[0] if magic else key.rstrip("/")
        start = f"{folder}/" if folder else ""
        # What a pattern finds may be a folder: all below it is meant then.
        pattern = re.compile(f"{_regex(key.rstrip('/'))}(?:/.*)?" if magic else ".*", re.DOTALL)
        listed = _listed(bucket, key[: magic.start()] if magic else start)
        some = [each for each in listed if not each.key.endswith("/") and pattern.fullmatch(each.key)]
    return Listing(tuple((each, tuple(each.key.removeprefix(start).split("/"))) for each in some), is_found=True)


def fetch(wanted: Object, target: Path) -> None:
    """Write the object's content to `target`.

    Raises DataError when it is not the one that was listed any more, or does not come whole.
    """
    with _asking(wanted.url):
        body = _client().get_object(Bucket=wanted.bucket, Key=wanted.key, IfMatch=wanted.etag)["Body"]
        with target.open("wb") as handle:
            for chunk in body.iter_chunks(_CHUNK):
                handle.write(chunk)
    if (here := target.stat().st_size) != wanted.bytes:
        raise DataError(
            f"{wanted.url}: {here} of {wanted.bytes} bytes came; expected the whole object: land it again. Nothing of"
            " this call was landed."
        )


def _named(bucket: str, key: str) -> Object | None:
    if not key or key.endswith("/"):
        return None
    try:
        head = _client().head_object(Bucket=bucket, Key=key)
    except _errors().ClientError as error:
        # Who may not list is told 403 of what is not there; listing then says whether it was that.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    return _object(bucket, key, {**head, "Size": head["ContentLength"]})


def _listed(bucket: str, prefix: str) -> Iterator[Object]:
    for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            yield _object(bucket, each["Key"], each)


def _object(bucket: str, key: str, about: Any) -> Object:
    return Object(bucket, key, about["Size"], about["ETag"], int(about["LastModified"].timestamp() * 1_000_000_000))


def _regex(pattern: str) -> str:
    fixed = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = []
    for piece in _PIECES.split(pattern):
        if piece in fixed:
            parts.append(fixed[piece])
        elif piece.startswith("[") and piece.endswith("]"):
            parts.append(_class(piece))
        else:
            parts.append(re.escape(piece))
    return "".join(parts)


def _class(piece: str) -> str:
    inside = re.escape(piece[1:-1].lstrip("!^")).replace(r"\-", "-")
    return f"[{'^/' if piece[1] in '!^' else ''}{inside}]"


@cache
def _client() -> Any:
    # Not at the top: it takes a tenth of a second, and only who reads from a store needs it.
    try:
        boto3, config = import_module("boto3"), import_module("botocore.config")
    except ImportError as error:
        raise TailraceError(
            "boto3 is not installed; expected it to read `s3://…`: install the extra, `pip install 'tailrace[s3]'`"
        ) from error
    retries = {"mode": "standard", "max_attempts": 5}
    return boto3.session.Session().client(
        "s3", config=config.Config(retries=retries, connect_timeout=10, read_timeout=60)
    )


def _errors() -> Any:
    return import_module("botocore.exceptions")


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Turn what boto3 raises into DataError: what the store answered, and never who asked or with which key."""
    _client()
    errors = _errors()
    try:
        yield
    except errors.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("PreconditionFailed", "412"):
            raise DataError(
                f"{url}: the object changed while it was read; expected a finished one: land it again. Nothing of this"
                " call was landed."
            ) from None
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise DataError(
            f"{url}: the store answered {code} ({status}); expected the object: see that it is there and may be read."
            " Nothing of this call was landed."
        ) from None
    except (errors.NoCredentialsError, errors.PartialCredentialsError):
        raise DataError(
            f"{url}: there are no credentials for the store; expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
            " AWS_PROFILE. Nothing was landed."
        ) from None
    except errors.BotoCoreError as error:
        # Its words may hold the endpoint's URL, with a password in it.
        raise DataError(
            f"{url}: the store could not be asked ({type(error).__name__}); expected it at AWS_ENDPOINT_URL_S3, or at"
            " AWS when that is not set. Nothing of this call was landed."
        ) from None
