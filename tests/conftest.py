"""Unit tests import modules as hosts do: ansible.module_utils.dlrm_fleet and library/ by name."""

from __future__ import annotations

import sys
from pathlib import Path

import ansible.module_utils

REPOSITORY = Path(__file__).resolve().parent.parent

ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))
sys.path.insert(0, str(REPOSITORY / "library"))
