"""On a host: verify what the storage node sent, move it into stages, list what is still missing.

incoming/<sha256>                         a file the node sends; incomplete until it has arrived
stages/<stage>/<key[:16]>/stage.json      written last: a killed restore never looks finished
stages/<stage>/<key[:16]>/elsewhere.json  the manifest of a stage whose files stay on the node
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ...base.disk import refuse_full
from ...base.documents import sha256_file, write_json_atomic
from ...base.errors import disk_error
from ...base.owner import Owner
from ...base.times import format_time, utc_now
from ...stages.folder import StageFolder
from ...stages.key import short
from ...wire.restore import RestorableStage
from ...wire.stage_document import FilePromise, StageDocument
from .incoming import INCOMING, Arrived, arrived


@dataclass
class Restored:
    """`missing`: sha256 -> bytes, to be sent; `refused`: sha256 of files with another content."""

    changed: bool = False
    missing: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class Restore:
    """Restores into one host's root. `node`: the storage node's name, kept in stage.json."""

    def __init__(self, root: Path, owner: Owner, node: str, check: bool) -> None:
        self.root = root
        self.owner = owner
        self.node = node
        self.check = check

    def run(self, wanted: Iterable[RestorableStage]) -> Restored:
        """`wanted`: as StageStore.choose returns them."""
        result = Restored()
        if not self.check:
            self.owner.make_directory(self.root / INCOMING)
        for one in wanted:
            document = one.document
            folder = StageFolder(self.root, document.stage, document.key)
            if not one.files:
                self._note(folder, document, result)
            elif self.check:
                self._examine(folder, document, result)
            else:
                with folder.locked(self.owner):
                    self._restore(folder, one, result)
        self._refuse_full(result)
        return result

    def _note(self, folder: StageFolder, document: StageDocument, result: Restored) -> None:
        """Keep the manifest alone: a later stage's key needs no more than its key and outputs."""
        if folder.manifest.exists() or folder.elsewhere() is not None:
            return
        result.changed = True
        if not self.check:
            self.owner.make_directory(folder.path)
            write_json_atomic(folder.elsewhere_path, document.document)
            self.owner.take(folder.elsewhere_path)

    def _examine(self, folder: StageFolder, document: StageDocument, result: Restored) -> None:
        """What check mode reports: it compares sizes only."""
        if folder.examine()[0] is not None:
            return
        result.changed = True
        for output in document.outputs:
            path = folder.output(output.name)
            if not path.is_file() or path.stat().st_size != output.size:
                result.missing[output.sha256] = output.size

    def _restore(self, folder: StageFolder, one: RestorableStage, result: Restored) -> None:
        document = one.document
        name = f"{document.stage} {short(document.key)}"
        if folder.examine()[0] is not None:
            result.lines.append(f"{name}: there already")
            return
        # The stage is damaged. It must not look finished while its files are replaced.
        if folder.manifest.exists():
            folder.manifest.unlink()
            result.changed = True
        missing = [output for output in document.outputs if not self._have(folder, output, result)]
        if missing:
            result.missing.update({output.sha256: output.size for output in missing})
            size = sum(output.size for output in missing)
            result.lines.append(f"{name}: {len(missing)} files ({size / 1024**2:.1f} MiB) to come")
            return
        restored = {"from": self.node, "at": format_time(utc_now())}
        provenance = {**document.document["provenance"], "restored": restored}
        write_json_atomic(folder.manifest, {**document.document, "provenance": provenance})
        self.owner.take(folder.manifest)
        folder.elsewhere_path.unlink(missing_ok=True)
        result.changed = True
        made = f"made by run {document.run_id}" + (f" on host {one.maker}" if one.maker else "")
        result.lines.append(f"{name}: restored from {self.node}, {made}")

    def _have(self, folder: StageFolder, output: FilePromise, result: Restored) -> bool:
        """True if the stage's folder has the file as promised, or it came from incoming now."""
        target = folder.output(output.name)
        if _has(target, output) and sha256_file(target, follow=False) == output.sha256:
            return True
        with arrived(self.root, output.sha256) as file:
            if file is None or file.size < output.size:
                return False
            if file.size > output.size or file.sha256() != output.sha256:
                file.remove()
                result.refused.append(output.sha256)
                return False
            self._install(file, target)
        result.changed = True
        return True

    def _install(self, file: Arrived, target: Path) -> None:
        try:
            file.install(target, self.owner)
        except OSError as error:
            raise disk_error(f"cannot install {str(target)!r}", error) from None

    def _refuse_full(self, result: Restored) -> None:
        come = sum(
            max(0, size - _size(self.root / INCOMING / sha256))
            for sha256, size in result.missing.items()
        )
        if come and self.root.is_dir():
            what = f"cannot restore to {str(self.root)!r}"
            refuse_full(self.root, come, what, "the host's", "dlrm_host_root")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _has(path: Path, output: FilePromise) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size == output.size
