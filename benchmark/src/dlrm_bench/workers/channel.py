"""Messages between the pool and a worker: one message is one packet, with one system call each way.

At hundreds of messages a second, a pipe's framing took as long as everything else about a batch.
"""

from __future__ import annotations

import pickle
import socket
from typing import Any

#: Limit of a message: the largest batch of any engine takes 128 KiB if its samples are one pair.
MOST_BYTES = 192 << 10


class Channel:
    """One end of a channel. Messages are tuples of plain values; both ends are this program's."""

    def __init__(self, end: socket.socket) -> None:
        """`end`: one of the two that pair() returns."""
        self._end, self._buffer = end, memoryview(bytearray(MOST_BYTES))

    def fileno(self) -> int:
        """For selectors, and for send_handle() and recv_handle()."""
        return self._end.fileno()

    def send(self, *message: Any) -> None:
        """Send it. OSError: the other end is gone; ValueError: it has more than MOST_BYTES."""
        packet = pickle.dumps(message)
        if len(packet) > MOST_BYTES:
            raise ValueError(f"message '{message[0]}' has {len(packet)} bytes, {MOST_BYTES} fit")
        self._end.send(packet)

    def receive(self) -> tuple[Any, ...]:
        """Wait for the next message; EOFError: the other end is gone and all it sent is read."""
        size = self._read()
        if not size:
            raise EOFError
        message: tuple[Any, ...] = pickle.loads(self._buffer[:size])  # noqa: S301 (of our own)
        return message

    def waiting(self) -> bool:
        """Whether a message is there; False once the other end is gone and all it sent is read."""
        try:
            return self._read(socket.MSG_PEEK | socket.MSG_DONTWAIT) > 0
        except BlockingIOError:
            return False

    def _read(self, flags: int = 0) -> int:
        try:
            return self._end.recv_into(self._buffer, 0, flags)
        except ConnectionResetError:
            # The other end closed with messages unread. Its own last messages come after this.
            return self._end.recv_into(self._buffer, 0, flags)

    def close(self) -> None:
        """Close this end."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; each process makes a Channel of its own."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        # A packet must fit, whatever the host's default is.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
    return ends
