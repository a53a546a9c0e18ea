"""Options that several modules take, and what modules that only read say of themselves."""


class ModuleDocFragment:
    ROOT = r"""
options:
  root:
    description: The host's root folder.
    type: path
    required: true
"""
    STORAGE_ROOT = r"""
options:
  storage_root:
    description: The storage node's folder.
    type: path
    required: true
"""
    HOST = r"""
options:
  host:
    description: The host's name in the inventory.
    type: str
    required: true
"""
    CATALOGUE = r"""
options:
  catalogue:
    description: The stages, the content of C(benchmark/stages.json).
    type: dict
    required: true
"""
    REQUEST = r"""
options:
  request:
    description: The normalised request of M(dlrm_request).
    type: dict
    required: true
"""
    REQUEST_SHA256 = r"""
options:
  request_sha256:
    description: As M(dlrm_request) returned it.
    type: str
    required: true
"""
    CONTROLLER = r"""
options:
  controller:
    description: As M(dlrm_request) returned it.
    type: dict
    required: true
"""
    READS = r"""
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
"""
