"""Azure Resource Manager's virtual machines and Entra's token endpoint, as documented."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

HOSTS = ["management.azure.com", "login.microsoftonline.com"]
TENANT = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
TOKEN = "azure-test-token"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/dlrm"
COMPUTE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"
NETWORK = f"{GROUP}/providers/Microsoft.Network"

# name: size, tags (None: the machine has none), power state, private address, public address
FLEET: dict[str, tuple[str, dict[str, str] | None, str, str, str | None]] = {
    "azure-bench-arm": (
        "Standard_E32ps_v6",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "running",
        "10.1.0.4",
        "203.0.113.34",
    ),
    "azure-bench-x86": (
        "Standard_E96-48ads_v5",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "running",
        "10.1.0.5",
        None,
    ),
    "azure-archive": (
        "Standard_D4s_v5",
        {"project": "dlrm-fleet", "role": "storage"},
        "running",
        "10.1.0.6",
        "203.0.113.36",
    ),
    "azure-stopped": (
        "Standard_E32ps_v6",
        {"project": "dlrm-fleet", "role": "benchmark"},
        "deallocated",
        "10.1.0.7",
        None,
    ),
    "azure-foreign": ("Standard_D2s_v5", None, "running", "10.1.0.8", None),
    "azure-other-project": (
        "Standard_D2s_v5",
        {"project": "billing", "role": "storage"},
        "running",
        "10.1.0.9",
        None,
    ),
}


def answer(
    host: str, method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[int, Any]:
    """Status and JSON document for one request."""
    path = urlsplit(url).path
    if host == "login.microsoftonline.com":
        return _sign_in(path)
    if headers.get("authorization") != f"Bearer {TOKEN}":
        return 401, {"error": {"code": "AuthenticationFailed", "message": "no such token"}}
    if method == "POST" and path == "/batch":
        responses = []
        for request in json.loads(body)["requests"]:
            code, content = _resource(urlsplit(request["url"]).path)
            responses.append({"name": request["name"], "httpStatusCode": code, "content": content})
        return 200, {"responses": responses}
    return _resource(path)


def _sign_in(path: str) -> tuple[int, Any]:
    authority = f"https://login.microsoftonline.com/{TENANT}"
    if path == "/common/discovery/instance":
        return 200, {
            "tenant_discovery_endpoint": f"{authority}/v2.0/.well-known/openid-configuration",
            "metadata": [],
        }
    if path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
        return 200, {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{authority}/oauth2/v2.0/token",
        }
    if path == f"/{TENANT}/oauth2/v2.0/token":
        return 200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
    return 404, {"error": "invalid_request", "error_description": f"no such path {path}"}


def _resource(path: str) -> tuple[int, Any]:
    if path == f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines":
        return 200, {"value": [_machine(name) for name in FLEET]}
    view = re.fullmatch(rf"{COMPUTE}/([\w-]+)/instanceView", path)
    if view:
        power = FLEET[view[1]][2]
        return 200, {
            "computerName": view[1],
            "osName": "debian",
            "osVersion": "12",
            "hyperVGeneration": "V2",
            "statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{power}"}],
        }
    interface = re.fullmatch(rf"{NETWORK}/networkInterfaces/([\w-]+)", path)
    if interface:
        return 200, _interface(interface[1])
    address = re.fullmatch(rf"{NETWORK}/publicIPAddresses/([\w-]+)", path)
    if address:
        return 200, {
            "id": path,
            "name": address[1],
            "properties": {"ipAddress": FLEET[address[1]][4]},
        }
    return 404, {"error": {"code": "ResourceNotFound", "message": f"no such resource {path}"}}


def _machine(name: str) -> dict[str, Any]:
    size, tags, _power, _private, _public = FLEET[name]
    found: dict[str, Any] = {
        "id": f"{COMPUTE}/{name}",
        "name": name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "properties": {
            "vmId": f"33333333-3333-3333-3333-{list(FLEET).index(name):012}",
            "hardwareProfile": {"vmSize": size},
            "provisioningState": "Succeeded",
            "storageProfile": {"osDisk": {"name": "os", "osType": "Linux", "managedDisk": {}}},
            "osProfile": {"computerName": name, "linuxConfiguration": {}},
            "networkProfile": {
                "networkInterfaces": [{"id": f"{NETWORK}/networkInterfaces/{name}"}]
            },
        },
    }
    if tags is not None:
        found["tags"] = tags
    return found


def _interface(name: str) -> dict[str, Any]:
    _size, _tags, _power, private, public = FLEET[name]
    properties: dict[str, Any] = {"primary": True, "privateIPAddress": private}
    if public:
        properties["publicIPAddress"] = {"id": f"{NETWORK}/publicIPAddresses/{name}"}
    return {
        "id": f"{NETWORK}/networkInterfaces/{name}",
        "name": name,
        "properties": {
            "macAddress": "00-0D-3A-00-00-01",
            "ipConfigurations": [{"name": "primary", "properties": properties}],
        },
    }
