"""Options that several modules share, and the attributes of modules that only read."""

_REACHED = r"""
options:
  {name}:
    description: How the storage node reaches the host; left out when they are one machine.
    type: dict
    suboptions:
      address:
        description: Name or address; empty when they are one machine.
        type: str
      user:
        description: Login user.
        type: str
      port:
        description: Port of the SSH server.
        type: int
        default: 22
      key_file:
        description: The user's own private key on the storage node.
        type: path
      fleet_dir:
        description: Folder of the fleet's two keys and its known_hosts, used without C(key_file).
        type: path
      known_hosts_file:
        description: The known_hosts file, when it is not the user's own. Unknown hosts are refused.
        type: path
      jump:
        description: A bastion between the two, user@host or user@host:port.
        type: str
"""


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
    description: The content of C(benchmark/stages.json), with the table of precisions.
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
    SOURCE = _REACHED.format(name="source")
    TARGET = _REACHED.format(name="target")
    STORAGE_NODE = r"""
options:
  root:
    description: Where the storage node keeps artifacts and runs.
    type: path
    required: true
  key_file:
    description:
      - The user's own private key on the storage node; empty if there is none. The owner of O(root)
        gets a copy of it, and of root's known_hosts, in C(.keys) below O(root).
    type: str
    default: ""
  host_root:
    description:
      - The folder of stages and runs, if this machine is a benchmark host as well. O(root) stays
        root's if other users cannot reach this folder.
    type: str
    default: ""
"""
    IMAGE_ENTRY = r"""
options:
  path:
    description: The entry.
    type: path
    required: true
  name:
    description: Name of the image.
    type: str
    required: true
  architecture:
    description: Its architecture.
    type: str
    required: true
"""
    READS = r"""
attributes:
  check_mode: {support: full, description: Only reads.}
  diff_mode: {support: none, description: Changes nothing.}
  idempotent: {support: full, description: Changes nothing.}
"""
    LOOKS = r"""
options:
  root:
    description: The folder whose filesystem is measured; it need not exist yet.
    type: path
    required: true
  name:
    description: The host's name in the inventory.
    type: str
    required: true
  needs:
    description: What the benchmark needs of the host. What is left out is not checked.
    type: dict
    suboptions:
      memory_gib:
        description: Memory installed, in GiB.
        type: float
      disk_gib:
        description: Disk free below O(root) or held by its stages already, in GiB.
        type: float
      shm_gib:
        description: Size of C(/dev/shm), in GiB.
        type: float
      instruction_sets:
        description:
          - Of V(amx), V(avx512_vnni), V(avx512_bf16), V(bf16), V(i8mm), V(sve2); all are needed.
          - V(avx512_vnni|i8mm) means either.
        type: list
        elements: str
        default: []
  software:
    description: What software to look for.
    type: dict
    suboptions:
      programs:
        description: Names of programs.
        type: list
        elements: str
        default: []
      environment:
        description: Folder of the Python environment that drives the container engine.
        type: path
      requirements:
        description: Text of the lock file that O(software.environment) is compared with.
        type: str
        default: ""
      user:
        description: Name of the containers' user.
        type: str
  engine_socket:
    description: Where the container engine listens.
    type: path
    default: /var/run/docker.sock
"""
