"""Compute Engine's REST API as documented, as far as the product uses it."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .faults import CREATE, DELETE, LIST, Call, Fault, Faults

PROJECT = "test-project"
ROOT = "https://www.googleapis.com/compute/v1/projects/" + PROJECT
TYPES = {"c4a-highmem-32", "c4a-highmem-72", "c4-highmem-32", "e2-small"}
PAGE = 20
PATH = re.compile(r"^/compute/v1/projects/([^/]+)/(.*)$")
QUOTA = "Quota 'C4A_CPUS' exceeded.  Limit: 64.0 in region us-central1."
ASYNCHRONOUS = {
    "capacity": ("ZONE_RESOURCE_POOL_EXHAUSTED", 503, "The zone '{zone}' does not have enough"
                 " resources available to fulfill the request."),
    "quota": ("QUOTA_EXCEEDED", 403, QUOTA),
}  # fmt: skip
SYNCHRONOUS = {
    "throttling": (403, "rateLimitExceeded", "Rate Limit Exceeded"),
    "server": (503, "backendError", "Backend Error"),
    "expired": (401, "authError", "Invalid Credentials"),
    "denied": (403, "forbidden", "Required '{permission}' permission for 'projects/test-project'"),
}


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        self.answer = (status, {"error": {"code": status, "message": message,
                       "errors": [{"reason": reason, "message": message}]}})  # fmt: skip
        super().__init__(message)


def now_text() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class GcpServer:
    """The whole state of a Google project, behind one lock."""

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self.lock = threading.Lock()
        self.reset()
        handler = type("Handler", (_Handler,), {"cloud": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def reset(self) -> None:
        with self.lock:
            self.machines: dict[tuple[str, str], dict[str, Any]] = {}
            self.disks: dict[tuple[str, str], dict[str, Any]] = {}
            self.addresses: dict[tuple[str, str], dict[str, Any]] = {}
            self.operations: dict[str, dict[str, Any]] = {}
            self.requests: dict[str, str] = {}
            # Machine's name: what its guest agent publishes.
            self.host_keys: dict[str, dict[str, str]] = {}
            self.hidden: dict[str, int] = {}
            self.number = 1000
        self.faults.clear()

    def alive(self) -> list[str]:
        return sorted(name for _, name in self.machines)

    def bills(self) -> list[str]:
        return [name for part in (self.machines, self.disks, self.addresses) for _, name in part]

    def pass_time(self, seconds: float) -> None:
        """Ends machines by maxRunDuration; the hosts' own timers only power off and keep disks."""
        now = time.time() + seconds
        with self.lock:
            for key, machine in list(self.machines.items()):
                scheduling = machine.get("scheduling", {})
                most = scheduling.get("maxRunDuration", {}).get("seconds")
                born = datetime.fromisoformat(machine["creationTimestamp"]).timestamp()
                if most and born + int(most) <= now:
                    if scheduling.get("instanceTerminationAction") == "DELETE":
                        self.end(key)
                    else:
                        machine["status"] = "TERMINATED"

    def end(self, key: tuple[str, str]) -> None:
        machine = self.machines.pop(key)
        for disk in machine.get("disks", []):
            if disk.get("autoDelete"):
                self.disks.pop((key[0], key[1]), None)

    def make(self, zone: str, body: dict[str, Any]) -> None:
        self.number += 1
        name = body["name"]
        for disk in body.get("disks", []):
            labels = disk.get("initializeParams", {}).get("labels", {})
            self.disks[zone, name] = {
                "name": name,
                "labels": labels,
                "zone": f"{ROOT}/zones/{zone}",
            }
        interfaces = body.get("networkInterfaces") or [{}]
        interfaces[0]["networkIP"] = f"10.0.{self.number // 250}.{self.number % 250}"
        for access in interfaces[0].get("accessConfigs", []):
            access["natIP"] = f"203.0.{self.number // 250}.{self.number % 250}"
        self.machines[zone, name] = {
            **body,
            "id": str(self.number),
            "zone": f"{ROOT}/zones/{zone}",
            "status": "RUNNING",
            "creationTimestamp": now_text(),
            "networkInterfaces": interfaces,
        }
        self.hidden[name] = self.faults.hidden_listings

    def operation(self, zone: str, target: str, fault: Fault | None = None) -> dict[str, Any]:
        self.number += 1
        made: dict[str, Any] = {
            "kind": "compute#operation", "name": f"operation-{self.number}", "id": str(self.number),
            "status": "DONE", "zone": f"{ROOT}/zones/{zone}", "insertTime": now_text(),
            "targetLink": f"{ROOT}/zones/{zone}/instances/{target}", "progress": 100,
        }  # fmt: skip
        if fault is not None:
            code, status, message = ASYNCHRONOUS[fault.kind]
            error = {"code": code, "message": message.format(zone=zone)}
            made.update(error={"errors": [error]}, httpErrorStatusCode=status,
                        httpErrorMessage="x")  # fmt: skip
        self.operations[made["name"]] = made
        return made

    def answer(self, method: str, url: str, body: dict[str, Any]) -> tuple[int, Any]:
        split = urlsplit(url)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        found = PATH.match(split.path)
        if not found or found.group(1) != PROJECT:
            return Refused(404, "notFound", f"no such project in {split.path}").answer
        call, permission = _call(method, found.group(2), body)
        fault = self.faults.decide(call)
        try:
            if fault is not None and fault.kind in SYNCHRONOUS and not fault.after:
                raise _worded(fault, permission)
            with self.lock:
                done = self._do(method, found.group(2), query, body, fault)
            self.faults.wait_if_held(call)
            if fault is not None and fault.kind in SYNCHRONOUS:
                raise _worded(fault, permission)
            return 200, done
        except Refused as refused:
            return refused.answer

    def _do(
        self, method: str, path: str, query: dict[str, str], body: dict[str, Any],
        fault: Fault | None,
    ) -> dict[str, Any]:  # fmt: skip
        parts = path.split("/")
        if parts[0] == "aggregated":
            return self._aggregated(parts[1], query)
        if parts[0] == "regions" and len(parts) == 2:
            quotas = [{"metric": "C4A_CPUS", "limit": 64.0, "usage": 40.0}]
            return {"name": parts[1], "quotas": quotas}
        if parts[2] == "instances" and method == "POST" and len(parts) == 3:
            return self._insert(parts[1], query, body, fault)
        return self._one(method, path)

    def _one(self, method: str, path: str) -> dict[str, Any]:
        parts = path.split("/")
        place, kind = parts[1], parts[2]
        if kind == "operations":
            if parts[3] not in self.operations:
                raise Refused(404, "notFound", f"The resource '{path}' was not found")
            return self.operations[parts[3]]
        table = {"instances": self.machines, "disks": self.disks, "addresses": self.addresses}[kind]
        key = (place, parts[3])
        if key not in table:
            raise Refused(404, "notFound", f"The resource '{path}' was not found")
        if method == "DELETE":
            if kind == "instances":
                self.end(key)
            else:
                del table[key]
            return self.operation(place, parts[3])
        if len(parts) == 5 and parts[4] == "getGuestAttributes":
            keys = self.host_keys.get(parts[3], {})
            items = [{"namespace": "hostkeys", "key": k, "value": v} for k, v in keys.items()]
            if not items:
                raise Refused(404, "notFound", "The resource 'hostkeys/' was not found")
            return {"queryPath": "hostkeys/", "queryValue": {"items": items}}
        return table[key]

    def _insert(
        self, zone: str, query: dict[str, str], body: dict[str, Any], fault: Fault | None
    ) -> dict[str, Any]:
        request = query.get("requestId", "")
        if request in self.requests:
            return self.operations[self.requests[request]]
        kind = body["machineType"].rsplit("/", 1)[-1]
        if kind not in TYPES:
            message = f"Invalid value for field 'resource.machineType': '{body['machineType']}'."
            raise Refused(400, "invalid", message + " The referenced resource does not exist.")
        if (zone, body["name"]) in self.machines:
            raise Refused(409, "alreadyExists", f"The resource '{body['name']}' already exists")
        refused = fault if fault is not None and fault.kind in ASYNCHRONOUS else None
        if refused is None:
            self.make(zone, body)
        operation = self.operation(zone, body["name"], refused)
        if request:
            self.requests[request] = operation["name"]
        # The insert itself answers before the work is done.
        return {**operation, "status": "RUNNING", "error": {"errors": []}, "progress": 0}

    def _aggregated(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        table = {"instances": self.machines, "disks": self.disks, "addresses": self.addresses}[kind]
        chosen = []
        for (_, name), item in sorted(table.items()):
            if not _matches(item, query.get("filter", "")):
                continue
            if kind == "instances" and self.hidden.get(name, 0) > 0:
                self.hidden[name] -= 1
                continue
            chosen.append(item)
        page = int(query.get("pageToken", "0"))
        scopes: dict[str, Any] = {"zones/asia-east1-a": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}
        for item in chosen[page : page + PAGE]:
            where = item.get("zone") or item["region"]
            scope = "/".join(where.rsplit("/", 2)[1:])
            scopes.setdefault(scope, {}).setdefault(kind, []).append(item)
        listing: dict[str, Any] = {"kind": "compute#aggregatedList", "items": scopes}
        if page + PAGE < len(chosen):
            listing["nextPageToken"] = str(page + PAGE)
        return listing


def _matches(item: dict[str, Any], expression: str) -> bool:
    terms = re.findall(r'\(labels\.([\w-]+) = "([^"]*)"\)', expression)
    return all(item.get("labels", {}).get(key) == value for key, value in terms)


def _worded(fault: Fault, permission: str) -> Refused:
    status, reason, message = SYNCHRONOUS[fault.kind]
    return Refused(status, reason, message.format(permission=permission))


def _call(method: str, path: str, body: dict[str, Any]) -> tuple[Call, str]:
    parts = path.split("/")
    if parts[0] == "aggregated":
        action = LIST if parts[1] == "instances" else f"{parts[1]}.list"
        return Call(action), f"compute.{parts[1]}.list"
    if parts[0] == "regions" and len(parts) == 2:
        return Call("regions.get"), "compute.regions.get"
    zone, kind = parts[1], parts[2]
    if kind == "instances" and method == "POST" and len(parts) == 3:
        machine_type = str(body.get("machineType", "")).rsplit("/", 1)[-1]
        return Call(CREATE, body.get("name", ""), zone, machine_type), "compute.instances.create"
    if kind == "instances" and method == "DELETE":
        return Call(DELETE, parts[3], zone), "compute.instances.delete"
    if kind == "operations":
        return Call("zoneOperations.get", zone=zone), "compute.zoneOperations.get"
    verb = {"GET": "get", "DELETE": "delete"}[method]
    if parts[-1] == "getGuestAttributes":
        verb = "getGuestAttributes"
    return Call(f"{kind}.{verb}", parts[3], zone), f"compute.{kind}.{verb}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True
    cloud: GcpServer

    def _serve(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            if self.headers.get("authorization", "").startswith("Bearer "):
                body = json.loads(text) if text else {}
                status, document = self.cloud.answer(self.command, self.path, body)
            else:
                status, document = Refused(401, "required", "Login Required").answer
        except Exception as error:  # the client sees it, and so the failing test's output
            status, document = 501, {"error": {"code": 501, "message": repr(error)}}
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = _serve

    def log_message(self, *_: Any) -> None:
        pass
