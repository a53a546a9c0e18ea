"""One bad of many: whatever a host answers, all the others are recorded in the same round."""

from __future__ import annotations

from pathlib import Path

import pytest
from visited_hosts import GOOD, Node, answering, lines_of


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


SAYS = '{"state":"closed","deadline":"2026-01-31T12:00:00Z","finished":true,'
QUICK = {
    "array": answering("[]"),
    "null": answering("null"),
    "number": answering("1e999"),
    "infinity": answering('{"state": Infinity}'),
    "text": answering('"closed"'),
    "nothing": "exit 0",
    "empty": answering("{}"),
    "deep": "head -c 200000 /dev/zero | tr '\\0' '['",
    "endless": "yes '[1, 2, 3],'",
    "many": "printf '['; yes '[],' | head -n 4000000; printf '[]]'",
    "garbage": r"printf '\033[31mred\r\n\xff\x00\x9b2J'; printf '\033]0;x\007' >&2; exit 3",
    "killed": "kill -KILL $$",
    "types": answering('{"state": 5, "deadline": [], "finished": null}'),
    "lists": answering(SAYS + '"artifacts":5,"stages":{},"run_files":"x"}'),
    "files": answering(SAYS + '"artifacts":[],"stages":[],"run_files":[[]]}'),
    "huge": answering(SAYS + '"artifacts":[],"stages":[],"run_files":' + "9" * 5000 + "}"),
}


def test_a_host_that_says_anything_at_all_ends_only_its_own_visit(node: Node) -> None:
    for name, script in QUICK.items():
        node.has_a_liar(f"a-{name}", script)
    lines, err = node.visit()
    assert node.not_served() == [], err[-600:]
    for name in GOOD:
        [line] = lines_of(lines, name)
        assert "collected, passed" in line
    assert len(lines) == len(QUICK) + len(GOOD), lines
    for name in QUICK:
        assert len(lines_of(lines, f"a-{name}")) == 1, (name, lines)
        assert node.record(f"a-{name}") is None
    assert all(line.isascii() and line.isprintable() for line in lines), lines
    assert "Traceback" not in err


SLOW = {
    # It answers nothing, or a byte a second.
    "silent": "exec sleep 3600",
    "slow-answer": "gate | trickle",
    # It answers well, and then its files do not come.
    "no-files": '[[ "$*" == rsync* ]] && exec sleep 3600; gate',
    "slow-files": '[[ "$*" == rsync* ]] && { gate | trickle; exit; }; gate',
}


def test_a_host_that_keeps_the_node_waiting_is_left(node: Node) -> None:
    for name, script in SLOW.items():
        node.has_a_run(f"a-{name}")
        node.has_a_liar(f"a-{name}", script)
    lines, err = node.visit()
    assert node.not_served() == [], err[-600:]
    for name in SLOW:
        [line] = lines_of(lines, f"a-{name}")
        assert "did not end" in line or "bytes arrived in" in line, line
    # What was started for them has ended as well: nothing there is locked or written any more.
    assert [path.name for path in (node.root / "incoming").glob("*.partial")] == []
