"""Replaces the parts of Azure's SDK that azure_rm imports but never sends a request with.

The whole SDK, which azure.azcollection imports in one block, takes 800 MB. azure-core,
azure-identity and azure-mgmt-core are the real ones (sign-in, batch request, parsing). Everything
else is imported from here if it is not installed; with the whole SDK this file does nothing.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

PREFIXES = ("azure.", "kiota_authentication_azure", "msgraph", "msgraph_core")


class Endpoints:
    """The public cloud's addresses, as azure-cli-core has them."""

    active_directory = "https://login.microsoftonline.com"
    resource_manager = "https://management.azure.com/"


class Cloud:
    name = "AzureCloud"
    endpoints = Endpoints


class VirtualMachines:
    """The one method that the plugin calls, for the system's name and version."""

    def __init__(self, client: Any, subscription_url: str) -> None:
        self.client, self.subscription_url = client, subscription_url

    def instance_view(self, resource_group: str, name: str) -> Any:
        from azure.core.rest import HttpRequest

        url = (
            f"{self.subscription_url}/resourceGroups/{resource_group}"
            f"/providers/Microsoft.Compute/virtualMachines/{name}/instanceView"
        )
        response = self.client.send_request(HttpRequest("GET", url))
        response.raise_for_status()
        found = response.json()
        view = ModuleType("instance_view")
        view.__dict__.update(
            computer_name=found["computerName"],
            os_name=found["osName"],
            os_version=found["osVersion"],
            hyper_v_generation=found["hyperVGeneration"],
        )
        return view


class ComputeManagementClient:
    def __init__(
        self, credential: Any, subscription_id: str, base_url: str, credential_scopes: list[str]
    ) -> None:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        policy = BearerTokenCredentialPolicy(credential, *credential_scopes)
        client: Any = PipelineClient(base_url, policies=[policy])
        self.virtual_machines = VirtualMachines(
            client, f"{base_url}/subscriptions/{subscription_id}"
        )


class Module(ModuleType):
    """Returns an empty class for any name, which is enough for an import statement."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder, so that an installed module wins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(PREFIXES):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = Module(spec.name)
        if spec.name == "azure.cli.core":
            cloud = ModuleType("azure.cli.core.cloud")
            cloud.__dict__.update(AZURE_PUBLIC_CLOUD=Cloud(), Cloud=Cloud)
            module.__dict__.update(cloud=cloud)
        if spec.name == "azure.mgmt.compute":
            module.__dict__.update(ComputeManagementClient=ComputeManagementClient)
        if spec.name == "azure.cli.core.util":
            module.__dict__.update(CLIError=type("CLIError", (Exception,), {}))
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Runs nothing."""


sys.meta_path.append(Finder())
