"""Has a cloud's own plugin read its inventory file, and says in one sentence why it fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory.auto import InventoryModule as Auto

DOCUMENTATION = r"""
name: dlrm_cloud
short_description: Read a cloud's inventory file, and say in one sentence why it cannot be read
description:
  - Has the cloud's own plugin read the file, as P(ansible.builtin.auto#inventory) does. If that
    fails, Ansible would also have the YAML and INI plugins read it, and print what all of them say.
    This plugin ends the command instead, with the sentence that matters and the remedy.
  - A file that was read once in this command fails as usual, because a run that has begun must
    reach its verdict.
"""
EXAMPLES = r"""
# It stands first in enable_plugins of ansible.cfg, and reads files with these endings:
# aws_ec2.yml, gcp_compute.yml, azure_rm.yml
plugin: amazon.aws.aws_ec2
"""

ENDING = re.compile(r"(aws_ec2|gcp_compute|azure_rm)\.ya?ml")
CREDENTIALS = {
    "aws_ec2": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or say"
    " aws sso login",
    "gcp_compute": "say gcloud auth application-default login, or set"
    " GOOGLE_APPLICATION_CREDENTIALS",
    "azure_rm": "say az login, or set AZURE_SUBSCRIPTION_ID, AZURE_TENANT, AZURE_CLIENT_ID and"
    " AZURE_SECRET",
}
# Pattern in what the cloud's plugin says -> (why, what to do). {log_in}: of CREDENTIALS.
REASONS = (
    (
        r"YOUR-PROJECT",
        "the project's id is still YOUR-PROJECT",
        "write your project's id into the list 'projects' of {path}",
    ),
    (
        r"Failed to import the required Python library|No module named",
        "a Python library of the cloud is missing",
        "install what the collection's requirements.txt names into the Python of Ansible",
    ),
    (
        r"[Uu]nable to locate credentials|credentials were not found|Failed to get credentials"
        r"|NoCredentials|could not be found.*profile|Insufficient boto credentials|az login"
        r"|subscription_id|[Rr]eauthenticat|refresh.*token",
        "there are no credentials of the cloud",
        "{log_in}",
    ),
    (
        r"ExpiredToken|expired|invalid_grant|AuthFailure|InvalidClientTokenId|[Uu]nauthorized"
        r"|SignatureDoesNotMatch",
        "the cloud does not take the credentials",
        "{log_in}",
    ),
    (
        r"UnauthorizedOperation|AccessDenied|Forbidden|forbidden|permission",
        "these credentials may not list machines",
        "give them the right to list machines (docs/clouds.md)",
    ),
    (
        r"Could not connect|NameResolution|resolve|timed out|Connection refused|Max retries",
        "the cloud's API does not answer",
        "look at the network, the proxy and the endpoint's address",
    ),
)
LONGEST = 200


class InventoryModule(Auto):
    NAME = "dlrm_cloud"
    # Files that were read once in this process.
    _read: set[str] = set()  # noqa: RUF012 - one for all instances

    def verify_file(self, path: str) -> bool:
        return ENDING.search(Path(path).name) is not None and super().verify_file(path)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        try:
            super().parse(inventory, loader, path, cache=cache)
        except Exception as error:
            said = sentence(path, str(error))
            if path in self._read:
                raise AnsibleParserError(said) from error
            self.display.error(said)
            # Nothing else ends the command: Ansible has other plugins read the file, too.
            raise SystemExit(1) from None
        self._read.add(path)


def sentence(path: str, said: str) -> str:
    """Which file, why, what to do, and what the cloud's plugin said."""
    found = ENDING.search(Path(path).name)
    log_in = CREDENTIALS[found.group(1)] if found else ""
    plain = " ".join(said.split())
    quoted = plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 3]}..."
    for pattern, why, todo in REASONS:
        if re.search(pattern, said):
            done = todo.format(log_in=log_in, path=path)
            return (
                f"Cannot read the inventory {path}: {why}. To continue, {done}."
                f" Then say make doctor INVENTORY={Path(path).parent}. ({quoted})"
            )
    return f"Cannot read the inventory {path}: {quoted}"
