"""What was tried of hosts and the storage node: ways with a reason and a remedy each. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ...base.errors import FleetError
from ...wire.fields import Fields
from ...wire.strict_json import Malformed
from ...wire.ways import FAILED, NOTE, OK, Way, read_ways, shortened
from .login import refusal

# Locks with a lease of 90 s are hard to read when clocks are further apart than this.
CLOCK_SECONDS = 30.0
CONTROLLER = "the controller"
CONNECTION = "connection"
LOST = "Give the same command again; with -vvv it shows more"
BOUND = (
    "The key's line is in authorized_keys. Set dlrm_storage_from to the address that the host sees"
    " of the storage node, and let sshd take keys (PubkeyAuthentication, AllowUsers)"
)


@dataclass(frozen=True)
class Tried:
    """What one machine said. `offset`: seconds that its clock is surely ahead of the controller's.

    `answer` is the host's own; None if it did not answer.
    """

    name: str
    ways: list[Way] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    keys: tuple[str, ...] = ()
    offset: float = 0.0

    @property
    def failed(self) -> list[Way]:
        return [way for way in self.ways if way.state == FAILED]


def read(name: str, seen: dict[str, Any] | None) -> Tried:
    """`seen`: what action dlrm_ways returned for this machine; None if it returned nothing."""
    to_host = Way(CONNECTION, CONTROLLER, name)
    if seen and seen.get("skipped"):
        return Tried(name)
    if not seen:
        why = "the connection was lost while its ways were tried"
        return Tried(name, [replace(to_host, state=FAILED, why=why, todo=LOST)])
    login = shortened(str(seen.get("login") or ""))
    to_root = Way("root's rights", f"{login or 'the login user'}@{name}", "root")
    if seen.get("refused"):
        said = Fields(seen["refused"], f"cannot read what {name} said")
        step, text = said.choice("step", (CONNECTION, "become")), str(said.values.get("said"))
        error = refusal(step, text, name, login, shortened(str(seen.get("address") or "")))
        refused = {"state": FAILED, "why": shortened(error.why), "todo": shortened(error.todo)}
        if step == CONNECTION:
            return Tried(name, [replace(to_host, **refused)])
        return Tried(name, [to_host, replace(to_root, **refused)])
    if "answer" not in seen and "ways" not in seen:
        why = shortened(str(seen.get("msg") or "it says nothing"))
        return Tried(name, [replace(to_host, state=FAILED, why=why, todo=LOST)])
    try:
        return _answered(name, seen, [to_host, to_root])
    except (KeyError, Malformed, TypeError, ValueError) as error:
        why = f"its answer cannot be used: {getattr(error, 'why', error)}"
        return Tried(name, [replace(to_host, state=FAILED, why=why, todo=LOST)])


def _answered(name: str, seen: dict[str, Any], before: list[Way]) -> Tried:
    fields = Fields(seen, f"cannot read what {name} said")
    answer = fields.free("answer") if "answer" in seen else None
    said = Fields(answer, fields.what) if answer is not None else fields
    clock = seen.get("clock") or {}
    offset = clock_offset(*(float(clock[one]) for one in ("sent", "host", "received")))
    keys = tuple(str(one) for one in (answer or {}).get("keys") or [])
    return Tried(name, [*before, *read_ways(said)], answer, keys, offset)


def clock_offset(sent: float, host: float, received: float) -> float:
    """Seconds the host's clock is surely ahead (+) or behind (-); all three since the epoch.

    The host read its clock, in whole seconds, between `sent` and `received` of the controller's.
    """
    if host + 1 < sent:
        return host + 1 - sent
    return max(host - received, 0.0)


def with_clocks(hosts: list[Tried], storage: Tried) -> list[Tried]:
    """Each host with a way for its clock, compared with the controller's and the storage node's."""
    return [replace(host, ways=[*host.ways, *_clocks(host, storage)]) for host in hosts]


def _clocks(host: Tried, storage: Tried) -> list[Way]:
    if host.answer is None:
        return []
    others = [(CONTROLLER, host.offset)]
    if not storage.failed and storage.name != host.name:
        others.append((storage.name, host.offset - storage.offset))
    apart = [(other, offset) for other, offset in others if abs(offset) > CLOCK_SECONDS]
    if not apart:
        return [Way("clock", host.name, CONTROLLER, OK)]
    todo = "Let the machine synchronise its time (chrony, timesyncd)"
    return [
        Way("clock", host.name, other, NOTE, f"at least {abs(by):.0f} s {_side(by)}", todo)
        for other, by in apart
    ]


def _side(offset: float) -> str:
    return "ahead" if offset > 0 else "behind"


def with_storage(hosts: list[Tried], storage: Tried) -> tuple[list[Tried], Tried]:
    """Each host with the ways from the storage node to it; the storage node with its own ways."""
    names = {host.name for host in hosts}
    own = [way for way in storage.ways if way.end not in names or way.start == CONTROLLER]
    others = [way for way in storage.ways if way not in own]
    merged = []
    for host in hosts:
        arriving = [_bound(way, host) for way in others if way.end == host.name]
        merged.append(replace(host, ways=[*host.ways, *arriving]))
    return merged, replace(storage, ways=own)


def _bound(way: Way, host: Tried) -> Way:
    """A key that is refused although its line is there: no run would put that right."""
    mode = way.what.partition(" ")[0]
    if way.state == NOTE and mode in host.keys and "does not let" in way.why:
        why = way.why.partition(";")[0]
        return replace(way, state=FAILED, why=why, todo=BOUND)
    return way


def sentence(way: Way) -> str:
    """One line: what, from where to where, why, what to do."""
    return str(FleetError(place(way), way.why, way.todo))


def place(way: Way) -> str:
    return f"{way.what}, from {way.start} to {way.end}"
