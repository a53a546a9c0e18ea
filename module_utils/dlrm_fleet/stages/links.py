"""The published file names: links below the root that point at the newest run's stages."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from ..base.errors import FleetError
from ..base.owner import Owner
from . import catalogue as catalogue_rules
from .asked import HostPlan
from .folder import StageFolder
from .published import rights_at


def link_stage(
    plan: HostPlan, stage: str, key: str, owner: Owner, check: bool
) -> tuple[list[str], list[str]]:
    """(links that were made, warnings). What the user put under such a name stays."""
    wanted = catalogue_rules.links(
        plan.entries[stage], plan.request["parameters"], plan.asked.architecture
    )
    return ensure_links(plan.folder(stage, key), wanted, owner, check)


def ensure_links(
    folder: StageFolder, wanted: list[tuple[str, str]], owner: Owner, check: bool
) -> tuple[list[str], list[str]]:
    """Point published file names at this result: (links that were made, warnings)."""
    changed: list[str] = []
    warnings: list[str] = []
    for output, name in wanted:
        link, target = folder.root / name, folder.path / output
        with rights_at(folder.root, name):
            taken, warning = _taken(folder, link, target)
            if warning:
                warnings.append(warning)
            if taken:
                continue
            changed.append(f"{link} -> {target}")
            if not check:
                _swap(link, target, owner)
    return changed, warnings


def _taken(folder: StageFolder, link: Path, target: Path) -> tuple[bool, str]:
    """Whether `link` stays as it is, and what to say of that."""
    if link.is_symlink():
        present = str(link.readlink())
        if present == str(target):
            return True, ""
        if not present.startswith(f"{folder.root}/stages/"):
            return True, f"{link} is your own link to {present}: left in place."
    elif link.exists():
        kind = "directory" if link.is_dir() else "file"
        return True, f"{link} is your own {kind}: left in place; ours is {target}."
    return False, ""


def _swap(link: Path, target: Path, owner: Owner) -> None:
    # data/, model/ and results/ may be links into $HOME: relative targets would break there.
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(8)}.partial")
    try:
        owner.make_directory(link.parent)
        temporary.symlink_to(target)
        owner.take(temporary)
        temporary.replace(link)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise FleetError(f"cannot make the link {str(link)!r}", error.strerror or "") from None
