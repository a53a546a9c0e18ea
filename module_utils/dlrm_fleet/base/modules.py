"""How a module of library/ ends. The module brings its AnsibleModule along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import FleetError
from .wording import printable


def finish(module: Any, run: Callable[[dict[str, Any], bool], dict[str, Any]]) -> None:
    """Exit with what `run`, given the options and whether this is check mode, returns.

    Unchanged unless that says otherwise. A FleetError or OSError is the module's failure, in its
    own words; a cloud's refusal tells its kind as well. What the words quote is escaped.
    `warnings` that it returns are given as Ansible's.
    """
    try:
        outcome = run(module.params, module.check_mode)
    except (FleetError, OSError) as error:
        kind = {"kind": error.kind} if hasattr(error, "kind") else {}
        module.fail_json(msg=printable(str(error)), **kind)
    for warning in outcome.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**{"changed": False, **outcome})
