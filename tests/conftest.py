"""What all tests share.

- Unit tests import modules as hosts do: ansible.module_utils.dlrm_fleet and library/ by name.
- Tests read all of Ansible's output, unless they are about the short one (dlrm_output).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ansible.module_utils

REPOSITORY = Path(__file__).resolve().parent.parent

ansible.module_utils.__path__.append(str(REPOSITORY / "module_utils"))
sys.path.insert(0, str(REPOSITORY / "library"))
# Commands that tests start inherit it. It also keeps their logs out of the user's own folder.
os.environ["ANSIBLE_STDOUT_CALLBACK"] = "default"
