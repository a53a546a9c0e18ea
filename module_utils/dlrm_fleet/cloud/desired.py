"""Reads machines from dlrm_instances_fleet_<cloud>; reports all mistakes at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import FleetError
from .model import LABEL_KEY, LABEL_VALUE, NAME, RESERVED_LABELS, ROLES, Disk, Machine, Placement

FIELDS = {
    "types": list,
    "count": int,
    "zones": list,
    "spot": bool,
    "keep": bool,
    "image": dict,
    "disk": dict,
    "network": dict,
    "ssh_user": str,
    "ssh_public_key": str,
    "labels": dict,
    "role": str,
}
REQUIRED = ("types", "zones", "image", "disk", "ssh_user", "ssh_public_key")
MAX_NAME = 63
# The name of a schedule on AWS holds the fleet's name and a machine's id.
MAX_FLEET = 32
MAX_COUNT = 500


def machines(
    fleet: str, groups: dict[str, Any], chosen: Sequence[str], ttl_seconds: int
) -> list[Machine]:
    """The machines of the chosen groups. Raises FleetError that lists every mistake."""
    problems: list[str] = []
    if not NAME.fullmatch(fleet or "") or len(fleet) > MAX_FLEET:
        problems.append(
            f"fleet {fleet!r} is not a valid name (small letters, digits and -, a letter first,"
            f" at most {MAX_FLEET} characters)"
        )
    problems += [
        f"group {name!r} is not described (known groups: {', '.join(sorted(groups)) or 'none'})"
        for name in chosen
        if name not in groups
    ]
    made: list[Machine] = []
    for name in dict.fromkeys(chosen):
        if name in groups:
            wrong = _problems(fleet, name, groups[name])
            problems += wrong
            if not wrong:
                made += _group(fleet, name, groups[name], ttl_seconds)
    if problems:
        raise FleetError(
            f"cannot use the fleet's description ({len(problems)} mistakes)"
            if len(problems) > 1
            else "cannot use the fleet's description",
            "; ".join(problems),
            "Correct dlrm_instances_fleet_<cloud>; docs/clouds.md describes each field",
        )
    return made


def _group(fleet: str, name: str, group: dict[str, Any], ttl_seconds: int) -> list[Machine]:
    disk = group["disk"]
    placements = tuple(
        Placement(str(kind), str(zone)) for kind in group["types"] for zone in group["zones"]
    )
    return [
        Machine(
            name=f"{fleet}-{name}-{index}",
            fleet=fleet,
            group=name,
            role=group.get("role", "benchmark"),
            placements=placements,
            image={key: str(value) for key, value in group["image"].items()},
            disk=Disk(
                int(disk["size_gib"]),
                _integer(disk.get("iops")),
                _integer(disk.get("throughput")),
                str(disk.get("type", "")),
            ),
            ttl_seconds=ttl_seconds,
            spot=bool(group.get("spot", False)),
            keep=bool(group.get("keep", False)),
            network=dict(group.get("network", {})),
            ssh_user=str(group["ssh_user"]),
            ssh_public_key=str(group["ssh_public_key"]).strip(),
            extra_labels={key: str(value) for key, value in group.get("labels", {}).items()},
        )
        for index in range(1, int(group.get("count", 1)) + 1)
    ]


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)


def _problems(fleet: str, name: str, group: Any) -> list[str]:
    if not isinstance(group, dict):
        return [f"group {name!r} is a {type(group).__name__}, a mapping is wanted"]
    found = [
        f"group {name!r} has an unknown field {key!r} (known fields: {', '.join(FIELDS)})"
        for key in group
        if key not in FIELDS
    ]
    found += [f"group {name!r} lacks {key}" for key in REQUIRED if not group.get(key)]
    for key, value in group.items():
        wanted = FIELDS.get(key)
        if wanted is not None and not isinstance(value, wanted):
            found.append(f"{name}.{key} is {value!r}, type {wanted.__name__} is wanted")
    return found or _values(fleet, name, group)


def _values(fleet: str, name: str, group: dict[str, Any]) -> list[str]:
    found: list[str] = []
    count = group.get("count", 1)
    if isinstance(count, bool) or not 0 <= count <= MAX_COUNT:
        found.append(f"{name}.count is {count!r}, 0 to {MAX_COUNT} is allowed")
    longest = f"{fleet}-{name}-{count}"
    if not NAME.fullmatch(longest) or len(longest) > MAX_NAME:
        found.append(
            f"{longest!r} is not a valid machine name (small letters, digits and -,"
            f" at most {MAX_NAME} characters)"
        )
    if group.get("role", "benchmark") not in ROLES:
        found.append(f"{name}.role is {group['role']!r}, allowed: {', '.join(ROLES)}")
    if not str(group["ssh_public_key"]).startswith(("ssh-", "ecdsa-", "sk-")):
        found.append(f"{name}.ssh_public_key is not a public key such as ssh-ed25519 AAAA...")
    if not LABEL_VALUE.fullmatch(str(group["ssh_user"])):
        found.append(f"{name}.ssh_user may hold small letters, digits, - and _ only")
    found += _disk_problems(name, group["disk"])
    for key, value in group.get("labels", {}).items():
        if key.lower() in RESERVED_LABELS:
            found.append(f"{name}.labels.{key} is reserved; choose another name")
        elif not LABEL_KEY.fullmatch(str(key)) or not LABEL_VALUE.fullmatch(str(value)):
            found.append(f"{name}.labels.{key} may hold small letters, digits, - and _ only")
    return found


def _disk_problems(name: str, disk: dict[str, Any]) -> list[str]:
    known = ("size_gib", "iops", "throughput", "type")
    found = [f"{name}.disk has an unknown field {key!r}" for key in disk if key not in known]
    for key in known[:3]:
        value = disk.get(key)
        if key == "size_gib" and value is None:
            found.append(f"{name}.disk lacks size_gib")
        elif value is not None and (not str(value).isdigit() or int(value) < 1):
            found.append(f"{name}.disk.{key} is {value!r}, a whole number is wanted")
    return found
