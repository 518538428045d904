"""Files that are read through once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.storage.blobs.disk import Disk

SIZE = 20 << 20
CONTENT = b"".join(b"%015d\n" % number for number in range(SIZE // 16))


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path: Path = tmp_path_factory.mktemp("once") / "large"
    opened = Disk().create(path)
    Disk().write(opened, [CONTENT])
    Disk().flush(opened)
    yield opened
    os.close(opened)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, SIZE), st.integers(-1, 12 << 20)), max_size=6))
def test_what_is_read_once_is_read_as_it_is(descriptor: int, steps: list[tuple[int, int]]) -> None:
    """Whatever is read of it, from wherever and however often, forgotten meanwhile or not, is what the file has there."""
    with Disk().once(descriptor) as file:
        for at, count in [*steps, (0, -1)]:
            file.seek(at)
            assert file.read(count) == CONTENT[at : at + count if count >= 0 else None]


def test_reading_once_leaves_the_descriptor_to_its_owner(descriptor: int) -> None:
    """Closing it closes nothing else."""
    Disk().once(descriptor).close()
    assert os.pread(descriptor, 16, 0) == CONTENT[:16]
