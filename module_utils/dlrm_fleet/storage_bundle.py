"""The storage program as one file: a zip that Python runs, equal for equal code."""

from __future__ import annotations

import ast
import io
import zipfile
from pathlib import Path

from .documents import FleetError

MAIN = (
    "import sys\n"
    "from dlrm_fleet.storage_program import main\n"
    'if __name__ == "__main__":\n'
    "    sys.exit(main(sys.argv[1:]))\n"
)


def build(package: Path) -> bytes:
    """`package`: the folder module_utils/dlrm_fleet. Times and order are fixed."""
    if not (package / "storage_program.py").is_file():
        raise FleetError(f"cannot pack {str(package)!r}", "it is not module_utils/dlrm_fleet")
    sources = [package / f"{name}.py" for name in sorted(_imported(package))]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", MAIN)
        for path in sources:
            _add(archive, f"dlrm_fleet/{path.name}", path.read_text(encoding="utf-8"))
    return target.getvalue()


def _imported(package: Path) -> set[str]:
    """The program and every module of the package that it needs, directly or not."""
    found: set[str] = {"__init__"}
    waiting = ["storage_program"]
    while waiting:
        name = waiting.pop()
        if name in found or not (package / f"{name}.py").is_file():
            continue
        found.add(name)
        for node in ast.walk(ast.parse((package / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                waiting += [node.module] if node.module else [alias.name for alias in node.names]
    return found


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, text)
