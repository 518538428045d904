"""A registry whose process kills itself, or whose disk is full, at one step of publishing: `dying_server.py STEP DATA_DIR`.

Started by `test_killed`. It is the real registry, assembled with a disk that counts steps and with a listener on its database engine.
"""

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, event
from twisted.internet import reactor

from registry import assemble, load_config
from registry.domain.model import Change
from registry.storage.blobs.disk import Disk

STEP, DATA_DIR = sys.argv[1:]
# Founding commits too; only what follows the first staged file is publishing.
begun: list[Path] = []
beside: set[int] = set()  # descriptors of core metadata
named: list[Path] = []


def die() -> None:
    """End as a power cut would: no handler, no flush, no goodbye."""
    os.kill(os.getpid(), signal.SIGKILL)


def reached(step: str) -> None:
    """Die if this is the step."""
    if begun and step == STEP:
        die()


class DyingDisk(Disk):
    """A disk that reaches its steps one by one."""

    def create(self, path: Path) -> int:
        """Disk."""
        begun.append(path)
        reached("create")
        if path.suffix == ".beside":
            reached("create beside")
            descriptor = super().create(path)
            beside.add(descriptor)
            return descriptor
        return super().create(path)

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """Disk."""
        reached("write")
        if descriptor in beside:
            reached("write beside")
        if STEP == "half a write":
            whole = b"".join(pieces)
            super().write(descriptor, [whole[: len(whole) // 2]])
            die()
        if STEP == "full":
            super().write(descriptor, pieces[:1])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(descriptor, pieces)

    def flush(self, descriptor: int) -> None:
        """Disk."""
        reached("flush")
        if STEP == "full at flush":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        super().flush(descriptor)

    def make_folder(self, folder: Path) -> None:
        """Disk."""
        reached("make_folder")
        super().make_folder(folder)

    def replace(self, old: Path, new: Path) -> None:
        """Disk."""
        reached("replace")
        if named:
            reached("between the names")
        super().replace(old, new)
        named.append(new)
        reached("after replace")

    def flush_folder(self, folder: Path) -> None:
        """Disk."""
        reached("flush_folder")
        super().flush_folder(folder)


@event.listens_for(Engine, "commit")
def before_commit(_: Connection) -> None:
    """SQLAlchemy calls this when all rows are written and nothing is committed."""
    reached("before commit")


def after_commit(_: tuple[Change, ...]) -> None:
    """The registry calls this when the commit has succeeded and the client has not been answered."""
    reached("after commit")


def main() -> None:
    """Serve until told to stop, or until the step is reached."""
    config = load_config(override={("server", "data_dir"): DATA_DIR, ("server", "listen"): "tcp:0:interface=127.0.0.1"})
    registry = assemble(config, reactor, announce=lambda started: print(started, flush=True), disk=DyingDisk())  # noqa: T201 - it is a program
    registry.service.store.database.subscribe(after_commit)
    running: object = reactor
    registry.service.startService()
    running.addSystemEventTrigger("before", "shutdown", registry.service.stopService)  # type: ignore[attr-defined]
    running.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
