"""moto behind a filter: client tokens, unknown types, capacity, quota, throttling, denials."""

from __future__ import annotations

import base64
import io
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from moto.backends import get_backend  # type: ignore[import-untyped]
from moto.moto_server.werkzeug_app import (  # type: ignore[import-untyped]
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.serving import WSGIRequestHandler, make_server

from .faults import CREATE, DELETE, LIST, PROTECT, Call, Fault, Faults

ACCOUNT = "123456789012"
TYPES = {"r8g.8xlarge", "r8g.16xlarge", "r8g.24xlarge", "r7i.8xlarge", "m7i.large"}
ACTIONS = {
    "RunInstances": CREATE,
    "DescribeInstances": LIST,
    "TerminateInstances": DELETE,
    "CreateSchedule": PROTECT,
}
# kind: status, EC2's code, its message
WORDS = {
    "capacity": (500, "InsufficientInstanceCapacity", "We currently do not have sufficient {type}"
                 " capacity in the Availability Zone you requested ({zone})."),
    "quota": (400, "VcpuLimitExceeded", "You have requested more vCPU capacity than your current"
              " vCPU limit of 64 allows for the instance bucket that the specified instance type"
              " belongs to."),
    "throttling": (503, "RequestLimitExceeded", "Request limit exceeded."),
    "server": (500, "InternalError", "An internal error has occurred"),
    "expired": (400, "RequestExpired", "Request has expired."),
    "denied": (403, "UnauthorizedOperation", "You are not authorized to perform this operation."
               " User: arn:aws:iam::123456789012:user/x is not authorized to perform:"
               " {permission} because no identity-based policy allows it."),
    "type": (400, "InvalidParameterValue", "Invalid value '{type}' for InstanceType."),
    "mismatch": (400, "IdempotentParameterMismatch", "The client token you have provided is"
                 " associated with a resource that is already deleted or has other parameters."),
    "terminated": (400, "IdempotentInstanceTerminated", "The request uses the same client token"
                   " as a previous request for which the instance has been terminated."),
}  # fmt: skip


@dataclass
class Hardware:
    """Real hosts that act as the cloud's machines; each acts as one machine at a time."""

    addresses: dict[str, str]  # by machine's name
    power: Callable[[str, bool], None]
    used: dict[str, str] = field(default_factory=dict)

    def boot(self, instance: Any) -> None:
        name = next(tag["value"] for tag in instance.get_tags() if tag["key"] == "Name")
        free = self.addresses[name]
        assert free not in self.used.values(), f"a second machine {name}"
        self.used[instance.id] = free
        instance.nics[0].public_ip = instance.nics[0].private_ip_address = free
        self.power(free, True)

    def end(self, alive: set[str]) -> None:
        for identity in [one for one in self.used if one not in alive]:
            self.power(self.used.pop(identity), False)


class InBetween:
    """A WSGI application in front of moto's application."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.tokens: dict[str, tuple[str, str, tuple[str, Any, bytes]]] = {}
        self.seen: dict[str, int] = {}
        # Machine's name: the host key its console shows.
        self.console: dict[str, str] = {}
        self.hardware: Hardware | None = None

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        form = {key: values[0] for key, values in parse_qs(body.decode("latin-1")).items()}
        scheduler = "/scheduler/" in environ.get("HTTP_AUTHORIZATION", "")
        action = _action(environ, form, scheduler)
        call = Call(
            ACTIONS.get(action, action),
            next((form[k.replace(".Key", ".Value")] for k, v in form.items() if v == "Name"
                  and k.endswith(".Key")), ""),
            form.get("Placement.AvailabilityZone", ""),
            form.get("InstanceType", ""),
        )  # fmt: skip
        fault = self.faults.decide(call)
        permission = f"{'scheduler' if scheduler else 'ec2'}:{action}"
        if fault is not None and not fault.after:
            return _refuse(start, fault, call, permission, scheduler)
        status, headers, answer = self._answer(environ, body, form, action)
        self.faults.wait_if_held(call)
        if fault is not None:
            return _refuse(start, fault, call, permission, scheduler)
        if status in WORDS:
            return _refuse(start, Fault(status), call, permission, scheduler)
        start(status, headers)
        return [answer]

    def _answer(
        self, environ: dict[str, Any], body: bytes, form: dict[str, str], action: str
    ) -> tuple[str, Any, bytes]:
        with self.lock:
            if action != "RunInstances":
                if action == "TerminateInstances":
                    _allow_a_second_end("us-east-1")
                answer = self._pass_on(environ, body)
                if action == "TerminateInstances":
                    self.power_off_the_ended()
                if action == "GetConsoleOutput":
                    return self._console(form["InstanceId"], answer)
                return self._hide(answer) if action == "DescribeInstances" else answer
            if form["InstanceType"] not in TYPES:
                return "type", [], b""
            parameters = json.dumps(form, sort_keys=True)
            known = self.tokens.get(form["ClientToken"])
            if known is not None:
                if known[0] != parameters:
                    return "mismatch", [], b""
                return known[2] if _alive(known[1]) else ("terminated", [], b"")
            _forget_the_ended("us-east-1")
            made = self._pass_on(environ, body)
            machine_id = re.findall(rb"<instanceId>(i-\w+)<", made[2])
            if machine_id:
                identity = machine_id[0].decode()
                self.tokens[form["ClientToken"]] = (parameters, identity, made)
                self.seen[identity] = self.faults.hidden_listings
                if self.hardware is not None:
                    [machine] = [i for i in instances("us-east-1") if i.id == identity]
                    self.hardware.boot(machine)
            return made

    def power_off_the_ended(self) -> None:
        if self.hardware is not None:
            running = [i for i in instances("us-east-1") if i.state != "terminated"]
            self.hardware.end({i.id for i in running})

    def _pass_on(self, environ: dict[str, Any], body: bytes) -> tuple[str, Any, bytes]:
        told: list[Any] = []

        def start(status: str, headers: Any, info: Any = None) -> None:
            told[:] = [status, headers]

        parts = self.moto({**environ, "wsgi.input": io.BytesIO(body)}, start)
        answer = b"".join(parts)
        return told[0], [pair for pair in told[1] if pair[0].lower() != "content-length"], answer

    def _console(self, machine_id: str, answer: tuple[str, Any, bytes]) -> tuple[str, Any, bytes]:
        """The console output of a first boot, with the lines that cloud-init prints."""
        name = next(
            tag["value"]
            for instance in instances("us-east-1")
            if instance.id == machine_id
            for tag in instance.get_tags()
            if tag["key"] == "Name"
        )
        key = self.console.get(name)
        marks = "-----{} SSH HOST KEY KEYS-----"
        lines = ["Booting", marks.format("BEGIN"), f"{key} root@x", marks.format("END"), "login:"]
        text = base64.b64encode("\n".join(lines if key else lines[:1]).encode())
        shown = re.sub(rb"<output>.*?</output>", b"<output>" + text + b"</output>", answer[2],
                       flags=re.S)  # fmt: skip
        return answer[0], answer[1], shown

    def _hide(self, answer: tuple[str, Any, bytes]) -> tuple[str, Any, bytes]:
        """Hides a new machine for some listings: EC2 shows it only after a while."""
        status, headers, text = answer
        for machine_id, left in self.seen.items():
            if left > 0 and machine_id.encode() in text:
                self.seen[machine_id] = left - 1
                items = re.findall(
                    rb"<item>\s*<reservationId>.*?</instancesSet>.*?</item>", text, re.S
                )
                for item in items:
                    if machine_id.encode() in item:
                        text = text.replace(item, b"")
        return status, headers, text


def _action(environ: dict[str, Any], form: dict[str, str], scheduler: bool) -> str:
    if not scheduler:
        return form.get("Action", environ["PATH_INFO"])
    named = environ["PATH_INFO"].count("/") > 1
    return {"POST": "CreateSchedule", "DELETE": "DeleteSchedule"}.get(
        environ["REQUEST_METHOD"], "GetSchedule" if named else "ListSchedules"
    )


def _refuse(start: Any, fault: Fault, call: Call, permission: str, scheduler: bool) -> list[bytes]:
    status, code, message = WORDS[fault.kind]
    message = message.format(type=call.type, zone=call.zone, permission=permission)
    if scheduler:
        code = {"denied": "AccessDeniedException", "throttling": "ThrottlingException",
                "server": "InternalServerException"}.get(fault.kind, code)  # fmt: skip
        start(f"{status} x", [("content-type", "application/json"), ("x-amzn-ErrorType", code)])
        return [json.dumps({"Message": message}).encode()]
    start(f"{status} x", [("content-type", "text/xml")])
    return [
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        "</Errors><RequestID>x</RequestID></Response>".encode()
    ]


def backend(service: str, region: str) -> Any:
    return get_backend(service)[ACCOUNT][region]


def instances(region: str) -> list[Any]:
    return [i for r in backend("ec2", region).reservations.values() for i in r.instances]


def _forget_the_ended(region: str) -> None:
    """EC2 shows ended machines for an hour; here the newest few."""
    reservations = backend("ec2", region).reservations
    ended = [
        key
        for key, reservation in reservations.items()
        if all(instance.state == "terminated" for instance in reservation.instances)
    ]
    for key in ended[:-4]:
        del reservations[key]


def _allow_a_second_end(region: str) -> None:
    """Lets a request end an instance again, as EC2 does; moto alone fails then."""
    for instance in instances(region):
        for interface in instance.nics.values() if instance.state == "terminated" else []:
            interface.delete_on_termination = False


def _alive(machine_id: str) -> bool:
    return any(
        i.id == machine_id and i.state != "terminated"
        for region in ("us-east-1", "us-west-2")
        for i in instances(region)
    )


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # Without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log(self, *_: Any, **__: Any) -> None:
        pass


class AwsServer:
    """One server for a session; `reset` between tests."""

    REGION = "us-east-1"

    def __init__(self, port: int = 0) -> None:
        self.faults = Faults()
        self.application = InBetween(self.faults)
        self.server = make_server(
            "127.0.0.1", port, self.application, threaded=True, request_handler=_Quiet
        )
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()

    def reset(self) -> None:
        with self.application.lock:
            for service in ("ec2", "scheduler"):
                get_backend(service)[ACCOUNT].reset()
            self.application.tokens.clear()
            self.application.seen.clear()
            self.application.console.clear()
        self.faults.clear()
        for architecture in ("arm64", "x86_64"):
            image = backend("ec2", self.REGION).register_image(name=f"jammy-{architecture}")
            image.architecture = architecture

    def alive(self) -> list[str]:
        """The names of machines that bill; a duplicate machine repeats its name."""
        return sorted(
            tag["value"]
            for instance in instances(self.REGION)
            if instance.state != "terminated"
            for tag in instance.get_tags()
            if tag["key"] == "Name"
        )

    def bills(self) -> list[str]:
        """Machines, volumes, addresses and schedules that are there, strangers' too."""
        ec2, scheduler = (backend(name, self.REGION) for name in ("ec2", "scheduler"))
        return [
            *self.alive(),
            *ec2.volumes,
            *ec2.addresses,
            *(name for group in scheduler.schedule_groups.values() for name in group.schedules),
        ]

    def pass_time(self, seconds: float) -> None:
        """Does what schedules and the hosts' own timers do in the next `seconds`."""
        now = datetime.now(UTC).timestamp() + seconds
        ec2, scheduler = (backend(name, self.REGION) for name in ("ec2", "scheduler"))
        with self.application.lock:
            for group in scheduler.schedule_groups.values():
                for schedule in list(group.schedules.values()):
                    at = re.fullmatch(r"at\((.*)\)", schedule.schedule_expression).group(1)
                    if datetime.fromisoformat(at + "+00:00").timestamp() <= now:
                        ids = json.loads(schedule.target["Input"])["InstanceIds"]
                        ec2.terminate_instances(ids)
                        group.delete_schedule(schedule.name)
            for instance in instances(self.REGION):
                text = base64.b64decode(str(instance.user_data or "")).decode()
                found = re.search(r"\+(\d+) seconds", text)
                born = instance.launch_time.replace(tzinfo=UTC).timestamp()
                if found and instance.state == "running" and born + int(found.group(1)) <= now:
                    ec2.terminate_instances([instance.id])
            self.application.power_off_the_ended()
