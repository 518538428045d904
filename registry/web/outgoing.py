"""What has been written to a connection and has not arrived."""

import fcntl
import struct
import termios
from contextlib import suppress
from typing import Any

from twisted.internet.tcp import Connection as TcpConnection

_INT = struct.Struct("i")


def unsent(transport: Any) -> int:
    """How many bytes the peer's side has not taken yet: those that wait in this process, and those that wait in the kernel.

    Below TLS, ciphertext is counted. 0 where nobody can tell: a transport without a socket, or a system that does not say it of sockets.
    """
    while transport is not None and not isinstance(transport, TcpConnection):
        transport = getattr(transport, "transport", None)
    if transport is None:
        return 0
    waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # noqa: SLF001 - there is no other way
    answer = b""
    with suppress(OSError, ValueError):
        answer = fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, bytes(_INT.size))
    return waiting + (_INT.unpack(answer)[0] if answer else 0)
