"""The data directory: its layout, its lock, and the one secret that is ever written to it."""

import fcntl
import os
from pathlib import Path

from attrs import define

from registry.domain.errors import DataDirInUse
from registry.domain.tokens import Secret


@define
class DataDir:
    """`catalog.sqlite`, `blobs/`, `lock` and, after the first start, `initial-root-token`. All methods block."""

    path: Path
    _lock: int = -1  # held while a server runs

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        return self.path / "catalog.sqlite"

    @property
    def blobs(self) -> Path:
        """The folder of all blobs."""
        return self.path / "blobs"

    @property
    def root_token(self) -> Path:
        """Where the first start leaves the administrator's token."""
        return self.path / "initial-root-token"

    def create(self) -> None:
        """Make sure it exists; a new one is ours alone (0700)."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self) -> None:
        """Claim it for this process until `unlock`. Raises `DataDirInUse`.

        Two servers on one directory would sweep away each other's uploads. The kernel drops the lock with the process, however it ends.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DataDirInUse(path=str(self.path)) from None
        self._lock = descriptor

    def unlock(self) -> None:
        """Give it back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def keep_root_token(self, secret: Secret) -> None:
        """Write the token and a newline to `initial-root-token` (0600), durably."""
        written = self.path / "initial-root-token.new"
        written.unlink(missing_ok=True)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{secret.reveal()}\n")
            file.flush()
            os.fsync(file.fileno())
        written.replace(self.root_token)
