"""The provider for Google Cloud: Compute Engine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ...base.errors import FleetError
from ..errors import EXISTS, NOT_FOUND, SERVER, STALE, CloudError, guarded
from ..model import Found, Leftover, Machine, Placement, ours
from . import request as gcp_request
from .errors import operation_error, translate
from .quota import explain

# The permissions that this file's calls need; docs/clouds/gcp-role.json is generated from them.
PERMISSIONS = (
    "compute.addresses.delete",
    "compute.addresses.list",
    "compute.disks.create",
    "compute.disks.delete",
    "compute.disks.list",
    "compute.disks.setLabels",
    "compute.images.useReadOnly",
    "compute.instances.create",
    "compute.instances.delete",
    "compute.instances.get",
    "compute.instances.getGuestAttributes",
    "compute.instances.list",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setTags",
    "compute.regions.get",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.zoneOperations.get",
)
# Seconds. A failed operation that began longer than this before our request belongs to an earlier
# request with the same id. The slack allows for the difference between the cloud's clock and ours.
CLOCK_SLACK = 5.0
SCOPE = "https://www.googleapis.com/auth/compute"


class Gcp:
    """`regions`: only these are used; [] = all of the project. Threads share the clients."""

    name = "gcp"
    _guard = staticmethod(partial(guarded, translate))

    def __init__(self, project: str, regions: Sequence[str] = (), endpoint_url: str = "") -> None:
        try:
            import google.auth
            from google.api_core.client_options import ClientOptions
            from google.cloud import compute_v1
        except ImportError as error:
            raise FleetError(
                "Google Cloud needs the Python libraries google-auth and google-cloud-compute",
                str(error),
                "Install requirements.txt into the controller's virtual environment",
            ) from error
        self.project = project
        self.regions = list(regions)
        self._compute: Any = compute_v1
        options = ClientOptions(api_endpoint=endpoint_url) if endpoint_url else None

        def client(kind: Any) -> Any:
            return kind(credentials=credentials, client_options=options)

        credentials = self._guard(
            "google.auth.default", lambda: google.auth.default(scopes=[SCOPE])[0]
        )
        self._instances = client(compute_v1.InstancesClient)
        self._operations = client(compute_v1.ZoneOperationsClient)
        self._disks = client(compute_v1.DisksClient)
        self._addresses = client(compute_v1.AddressesClient)
        self._regions = client(compute_v1.RegionsClient)

    def _ask(self, action: str, function: Callable[..., Any], **request: Any) -> Any:
        """One request without the client's own retries."""
        return self._guard(
            action, lambda: function(request={"project": self.project, **request}, retry=None,
                                     timeout=90)
        )  # fmt: skip

    def _aggregated(self, action: str, client: Any, key: str, filters: str) -> list[Any]:
        """All pages, all zones."""

        def read() -> list[Any]:
            pager = client.aggregated_list(
                request={"project": self.project, "filter": filters, "max_results": 500},
                retry=None,
                timeout=90,
            )
            return [item for _, scoped in pager for item in getattr(scoped, key)]

        return list(self._guard(action, read))

    def list_machines(self, fleet: str | None) -> list[Found]:
        shown = self._aggregated(
            "compute.instances.list", self._instances, "instances", gcp_request.filters(fleet)
        )
        found = [gcp_request.found(instance) for instance in shown]
        return [item for item in found if ours(item.labels, fleet) and self._wanted(item.region)]

    def _wanted(self, region: str) -> bool:
        return not self.regions or region in self.regions

    def create(
        self, machine: Machine, placement: Placement, token: str, generation: int
    ) -> Found | None:
        action = "compute.instances.create"
        started = time.time()
        operation = self._ask(
            action, self._instances.insert_unary, zone=placement.zone,
            instance_resource=gcp_request.instance(machine, placement, generation),
            request_id=_request_id(token),
        )  # fmt: skip
        operation = self._finished(operation, placement.zone, action)
        if operation.error.errors:
            error = operation_error(operation, action)
            if _is_older(operation, started):
                raise CloudError(STALE, "an earlier request with this id failed", error.why)
            raise error
        try:
            shown = self._ask(
                "compute.instances.get", self._instances.get,
                zone=placement.zone, instance=machine.name,
            )  # fmt: skip
        except CloudError as error:
            if error.kind == NOT_FOUND:
                raise CloudError(STALE, "an earlier machine of this request has ended") from error
            raise
        made = gcp_request.found(shown)
        if not ours(made.labels, machine.fleet):
            raise CloudError(
                EXISTS, f"a machine {machine.name} exists without our labels", action=action
            )
        if not made.live:
            raise CloudError(STALE, f"{made.name} has ended")
        return made

    def _finished(self, operation: Any, zone: str, action: str) -> Any:
        """Wait for the operation with the cloud's own call, which answers within two minutes."""
        while operation.status != self._compute.Operation.Status.DONE:
            try:
                operation = self._ask(
                    "compute.zoneOperations.get", self._operations.wait,
                    zone=zone, operation=operation.name,
                )  # fmt: skip
            except CloudError as error:
                if error.kind == NOT_FOUND:
                    raise CloudError(
                        SERVER, f"Google Cloud lost the operation of {action}", error.why
                    ) from error
                raise
        return operation

    def protect(self, found: Found, until: datetime) -> None:
        """Always raises: maxRunDuration is fixed at creation and cannot be added later."""
        raise CloudError(
            "unknown", f"machine {found.name} does not end by itself at {until:%H:%M} UTC",
            "it has no maxRunDuration, so this project did not make it",
            "Tear the fleet down and provision it anew",
        )  # fmt: skip

    def delete(self, machines: Sequence[Found]) -> None:
        for item in machines:
            try:
                self._ask(
                    "compute.instances.delete", self._instances.delete_unary,
                    zone=item.zone, instance=item.name,
                )  # fmt: skip
            except CloudError as error:
                if error.kind != NOT_FOUND:
                    raise

    def leftovers(self, fleet: str | None) -> list[Leftover]:
        chosen = gcp_request.filters(fleet)
        found: list[Leftover] = []
        for kind, client, key in (
            ("disk", self._disks, "disks"),
            ("address", self._addresses, "addresses"),
        ):
            for item in self._aggregated(f"compute.{key}.list", client, key, chosen):
                labels = dict(item.labels)
                place = str(item.zone if kind == "disk" else item.region).rsplit("/", 1)[-1]
                region = gcp_request.region_of(place) if kind == "disk" else place
                if ours(labels, fleet) and self._wanted(region):
                    found.append(Leftover(kind, item.name, place, labels))
        return found

    def remove(self, leftover: Leftover) -> None:
        try:
            if leftover.kind == "disk":
                self._ask(
                    "compute.disks.delete", self._disks.delete_unary,
                    zone=leftover.place, disk=leftover.id,
                )  # fmt: skip
            else:
                self._ask(
                    "compute.addresses.delete", self._addresses.delete_unary,
                    region=leftover.place, address=leftover.id,
                )  # fmt: skip
        except CloudError as error:
            if error.kind != NOT_FOUND:
                raise

    def host_keys(self, found: Found) -> list[str]:
        try:
            shown = self._ask(
                "compute.instances.getGuestAttributes", self._instances.get_guest_attributes,
                zone=found.zone, instance=found.name, query_path="hostkeys/",
            )  # fmt: skip
        except CloudError as error:
            if error.kind == NOT_FOUND:
                return []
            raise
        return [f"{item.key} {item.value}" for item in shown.query_value.items]

    def quota(self, error: CloudError, machine: Machine, placement: Placement) -> CloudError:
        region = gcp_request.region_of(placement.zone)
        try:
            shown = self._ask("compute.regions.get", self._regions.get, region=region)
            quotas = {
                str(item.metric): (float(item.limit), float(item.usage)) for item in shown.quotas
            }
        except CloudError:
            quotas = {}
        return explain(error, machine, placement, self.project, quotas)


def _request_id(token: str) -> str:
    """The token as a UUID, which the API requires."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "dlrm-fleet:" + token))


def _is_older(operation: Any, started: float) -> bool:
    """Whether the operation began before our request."""
    if not operation.insert_time:
        return False
    begun = gcp_request.moment(operation.insert_time)
    before = datetime.fromtimestamp(started - CLOCK_SLACK, timezone.utc)
    return begun is not None and begun < before
