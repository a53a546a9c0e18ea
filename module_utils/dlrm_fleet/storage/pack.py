"""The storage program as one file: a zip that Python runs. Equal code gives equal bytes.

zipapp does not serve: it keeps the files' times and modes, which differ between checkouts.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from ..base.errors import FleetError

MAIN = (
    "import sys\n"
    "from dlrm_fleet.storage.program import main\n"
    'if __name__ == "__main__":\n'
    "    sys.exit(main(sys.argv[1:]))\n"
)
# The room that neither `gate` nor `visit` enters.
LEFT_OUT = ("cloud",)


def build(package: Path) -> bytes:
    """The bytes of the zip. `package`: the folder module_utils/dlrm_fleet, else FleetError."""
    if not (package / "storage" / "program.py").is_file():
        raise FleetError(f"cannot pack {str(package)!r}", "it is not module_utils/dlrm_fleet")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", MAIN)
        for path in sorted(package.rglob("*.py")):
            inside = path.relative_to(package)
            if inside.parts[0] not in LEFT_OUT:
                text = path.read_text(encoding="utf-8")
                _add(archive, f"dlrm_fleet/{inside.as_posix()}", text)
    return target.getvalue()


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, text)
