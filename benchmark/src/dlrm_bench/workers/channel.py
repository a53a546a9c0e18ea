"""What the pool and a worker say to each other: one message is one packet, a system call each way.

At hundreds of messages a second a pipe's framing took as long as all else about a batch.
"""

from __future__ import annotations

import pickle
import socket
from typing import Any

#: Of a message: the largest batch of any engine, were its samples of one pair, has 128 KiB.
MOST_BYTES = 192 << 10


class Channel:
    """One end. Its messages are tuples of plain values; both ends are this program's own."""

    def __init__(self, end: socket.socket) -> None:
        """`end`: of pair()'s."""
        self._end, self._buffer = end, memoryview(bytearray(MOST_BYTES))

    def fileno(self) -> int:
        """For selectors, and for send_handle() and recv_handle()."""
        return self._end.fileno()

    def send(self, *message: Any) -> None:
        """OSError: the other end is gone; ValueError: the message has more than MOST_BYTES."""
        packet = pickle.dumps(message)
        if len(packet) > MOST_BYTES:
            raise ValueError(f"a message '{message[0]}' of {len(packet)} bytes: {MOST_BYTES} fit")
        self._end.send(packet)

    def receive(self) -> tuple[Any, ...]:
        """Wait for the next message; EOFError: the other end is gone, and all it said is read."""
        size = self._read()
        if not size:
            raise EOFError
        message: tuple[Any, ...] = pickle.loads(self._buffer[:size])  # noqa: S301 (of our own)
        return message

    def waiting(self) -> bool:
        """Whether a message is there; nothing is, of an end that is gone."""
        try:
            return self._read(socket.MSG_PEEK | socket.MSG_DONTWAIT) > 0
        except BlockingIOError:
            return False

    def _read(self, flags: int = 0) -> int:
        try:
            return self._end.recv_into(self._buffer, 0, flags)
        except ConnectionResetError:
            # The other end left something unread: told once, before what it had said last.
            return self._end.recv_into(self._buffer, 0, flags)

    def close(self) -> None:
        """Give it back."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, to be made channels of in their processes."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        # Whatever the host's default is: a packet must fit.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
    return ends
