"""Blobs that need not be opened."""

from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from registry.interfaces import IOpenBlob


@implementer(IOpenBlob)
@define(eq=False, kw_only=True)
class Contents:
    """IOpenBlob over bytes in memory."""

    data: bytes
    descriptor: Any = None

    @property
    def size(self) -> int:
        """IOpenBlob."""
        return len(self.data)

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IOpenBlob."""
        return succeed(self.data[offset : offset + length])

    def close(self) -> None:
        """IOpenBlob."""


@implementer(IOpenBlob)
@frozen(eq=False, kw_only=True)
class Unread:
    """IOpenBlob of `size` bytes that are nowhere: for who asks for the head of an answer only."""

    size: int
    data: Any = None
    descriptor: Any = None

    def read(self, offset: int, length: int) -> "Deferred[bytes]":
        """IOpenBlob."""
        return succeed(b"")

    def close(self) -> None:
        """IOpenBlob."""
