"""The settings of `orderes up`: those of the three processes, as one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from eventcore.errors import StartFailed
from eventcore.process.address import ListenAddress, check_free
from eventcore.process.settings import (
    ProcessSettings,
    flag_of,
    load_settings,
    variable_of,
)
from projector.settings import ProjectorSettings
from read_server.settings import ReadServerSettings
from write_server.settings import WriteServerSettings


class UpSettings(ReadServerSettings, ProjectorSettings, WriteServerSettings):
    """Every setting of the three processes; each has a name of its own."""

    # A person sits before it; a program that reads the log asks for JSON.
    log_format: Literal["json", "console"] = Field(
        "console", description="Log lines for machines, or for people."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKind:
    """One of the three processes, as a supervisor knows it."""

    name: str
    """For people."""
    module: str
    settings_class: type[ProcessSettings]
    address: str
    """Name of the setting where its gRPC and its health are."""
    metrics_address: str
    """Name of the setting where its metrics are."""
    admin_address: str | None = None
    """Name of the setting where operators speak to it, if it has such a port."""
    services: tuple[str, ...]
    """What its health knows by name: it serves when all of them do."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Names of the settings that say where it listens."""
        names = (self.address, self.admin_address, self.metrics_address)
        return tuple(name for name in names if name is not None)


PROCESSES = (
    ProcessKind(
        name="write server",
        module="write_server",
        settings_class=WriteServerSettings,
        address="write_address",
        metrics_address="write_metrics_address",
        admin_address="write_admin_address",
        services=("orderes.v1.CommandService",),
    ),
    ProcessKind(
        name="projector",
        module="projector",
        settings_class=ProjectorSettings,
        address="projector_address",
        metrics_address="projector_metrics_address",
        services=("orderes.v1.ProjectionAdminService",),
    ),
    ProcessKind(
        name="read server",
        module="read_server",
        settings_class=ReadServerSettings,
        address="read_address",
        metrics_address="read_metrics_address",
        services=("orderes.v1.QueryService",),
    ),
)

NOT_PASSED_ON = frozenset({"supervisor_fd"})
"""The supervisor gives its children a pipe of its own."""


def load_up_settings(flags: Mapping[str, object]) -> UpSettings:
    """The settings of all three processes, checked before any of them starts.

    Raises:
        StartFailed: the message names every fault.
    """
    settings = load_settings(UpSettings, flags)
    faults = _address_faults(settings)
    if faults:
        raise StartFailed("cannot listen\n  " + "\n  ".join(faults))
    return settings


def flags_of(settings: UpSettings, process: ProcessKind) -> tuple[str, ...]:
    """The settings that a process has, as its flags; what is unset stays unset."""
    values = {
        name: getattr(settings, name)
        for name in process.settings_class.model_fields
        if name not in NOT_PASSED_ON
    }
    return tuple(
        f"{flag_of(name)}={value}"
        for name, value in values.items()
        if value is not None
    )


def _address_faults(settings: UpSettings) -> list[str]:
    """Addresses that cannot be used, found out before a process finds it out."""
    names = [name for process in PROCESSES for name in process.addresses]
    addresses = {name: str(getattr(settings, name)) for name in names}
    uses = Counter(addresses.values())
    faults = []
    for name, address in addresses.items():
        fault = _fault_of(ListenAddress.parse(address))
        if not fault and uses[address] > 1:
            fault = f"address {address} is given to more than one listener"
        if fault:
            faults.append(f"{flag_of(name)} ({variable_of(name)}): {fault}")
    return faults


def _fault_of(address: ListenAddress) -> str:
    """Why nothing could listen at the address now; empty if something could."""
    if not address.port:
        return f"address {address} leaves the port open: under a supervisor it must be named"
    try:
        check_free(address)
    except StartFailed as error:
        return error.message
    return ""
