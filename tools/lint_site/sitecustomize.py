"""Lets ansible-lint import our modules, so that its rule args checks the tasks that call them."""

from pathlib import Path

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).parents[2] / "module_utils"))
