"""A disk whose failures can be rehearsed."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import Factory, frozen

from registry.storage.blobs.disk import Disk


def _nothing(step: str) -> None:
    pass


@frozen(kw_only=True)
class FailingDisk(Disk):
    """A real disk that tells of each step, so that its failures, and those of the process, can be rehearsed.

    `before` and `after` are called with the step's name: create, write, flush, flush_behind, replace, flush_folder, make_folder or remove.
    What they raise is what the step raises; a hook that never returns (it kills the process) is a crash at that very point. `steps`
    remembers them all.
    """

    before: Callable[[str], object] = _nothing
    after: Callable[[str], object] = _nothing
    steps: list[str] = Factory(list)

    @classmethod
    def full_at(cls, step: str, nth: int = 1) -> "FailingDisk":
        """A disk that has no room left when `step` is reached for the `nth` time."""
        return cls.broken_at(step, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), nth)

    @classmethod
    def broken_at(cls, step: str, error: Exception, nth: int = 1) -> "FailingDisk":
        """A disk on which `step` fails with `error` when it is reached for the `nth` time, and ever after."""
        reached: Counter[str] = Counter()

        def before(name: str) -> None:
            reached[name] += 1
            if name == step and reached[name] >= nth:
                raise error

        return cls(before=before)

    def create(self, path: Path) -> int:
        """Disk."""
        self._begin("create")
        descriptor = Disk.create(self, path)
        self.after("create")
        return descriptor

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """Disk."""
        self._begin("write")
        Disk.write(self, descriptor, pieces)
        self.after("write")

    def flush(self, descriptor: int) -> None:
        """Disk."""
        self._begin("flush")
        Disk.flush(self, descriptor)
        self.after("flush")

    def flush_behind(self, descriptor: int, offset: int, length: int) -> None:
        """Disk."""
        self._begin("flush_behind")
        Disk.flush_behind(self, descriptor, offset, length)
        self.after("flush_behind")

    def replace(self, old: Path, new: Path) -> None:
        """Disk."""
        self._begin("replace")
        Disk.replace(self, old, new)
        self.after("replace")

    def flush_folder(self, folder: Path) -> None:
        """Disk."""
        self._begin("flush_folder")
        Disk.flush_folder(self, folder)
        self.after("flush_folder")

    def make_folder(self, folder: Path) -> None:
        """Disk."""
        self._begin("make_folder")
        Disk.make_folder(self, folder)
        self.after("make_folder")

    def remove(self, path: Path) -> None:
        """Disk."""
        self._begin("remove")
        Disk.remove(self, path)
        self.after("remove")

    def _begin(self, step: str) -> None:
        self.steps.append(step)
        self.before(step)
