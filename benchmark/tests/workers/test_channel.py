"""What pool and workers say to each other arrives whole, and an end that is gone is noticed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing.reduction import recv_handle, send_handle

import pytest

from dlrm_bench.engines.choice import candidates
from dlrm_bench.frame.precisions import PRECISIONS
from dlrm_bench.workers.channel import MOST_BYTES, Channel, pair
from dlrm_bench.workers.pool import batch_pairs


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = map(Channel, pair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    largest = ("batch", 7, bytes(MOST_BYTES - 100))
    for message in (("detach",), largest, ("done", 7, 126, 0.5)):
        ours.send(*message)
    assert [theirs.receive() for _ in range(3)] == [("detach",), largest, ("done", 7, 126, 0.5)]
    assert not theirs.waiting()


def test_the_largest_batch_fits(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    offered = [c for precision in PRECISIONS for c in candidates(precision)]
    most = max(batch_pairs(batch) for candidate in offered for batch in candidate.batches)
    spans = bytes(16 * most)  # Offset and length of as many samples of one pair.
    ours.send("batch", 1 << 40, 1, spans)
    assert theirs.receive() == ("batch", 1 << 40, 1, spans)


def test_a_message_beyond_a_packet_is_refused_and_nothing_is_sent(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    with pytest.raises(ValueError, match=f"a message 'batch' of .*: {MOST_BYTES} fit"):
        ours.send("batch", bytes(MOST_BYTES))
    assert not theirs.waiting()


@pytest.mark.parametrize("unread", [0, 2], ids=["all read", "with more to do"])
@pytest.mark.parametrize("asked_first", [False, True])
def test_the_last_words_of_an_end_that_is_gone_are_heard(
    ends: tuple[Channel, Channel], unread: int, asked_first: bool
) -> None:
    ours, theirs = ends
    for number in range(unread):
        ours.send("batch", number)
    theirs.send("error", "no memory", "")
    theirs.close()
    if asked_first:
        assert ours.waiting()
    assert ours.receive() == ("error", "no memory", "")
    assert not ours.waiting()
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(OSError, match="Broken pipe"):
        ours.send("detach")


def test_a_descriptor_goes_between_messages(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    readable, writable = os.pipe()
    ours.send("attach", 3)
    send_handle(ours, readable, os.getpid())
    ours.send("detach")
    assert theirs.receive() == ("attach", 3)
    received = recv_handle(theirs)
    assert theirs.receive() == ("detach",)
    os.write(writable, b"pairs")
    assert os.read(received, 5) == b"pairs"
    for descriptor in (readable, writable, received):
        os.close(descriptor)
