"""The rank table of HCCL: which process runs on which Ascend device, in the JSON format that hccl_tools writes.

    {"version": "1.0", "server_count": "1",
     "server_list": [{"server_id": "10.0.0.1",
                      "device": [{"device_id": "0", "device_ip": "192.168.100.101", "rank_id": "0"}, ...],
                      "host_nic_ip": "reserve"}],
     "status": "completed"}

All values are strings. Ranks count from 0 without a gap, over the servers in their order.
"""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from bert_thor.errors import ConfigError
from bert_thor.files import write_json

DEVICES_PER_SERVER = 8
HCCN_CONFIGURATION = Path("/etc/hccn.conf")
"""Where the driver keeps the devices' network addresses, as lines `address_0=192.168.100.101`."""


@dataclass(frozen=True)
class RankTableConfig:
    """Write the rank table of one server, or check one that exists."""

    devices: str = "0-7"
    """Devices that train together: a range such as 0-7, or a list such as 0,1,4,5; on one server of the first generation up to four devices
    must belong to one half, 0-3 or 4-7."""
    server: str = ""
    """Address of this server in the training network; by default the address of its host name."""
    device_addresses: tuple[str, ...] = field(default_factory=tuple)
    """The devices' own network addresses, in the order of --devices; by default read from /etc/hccn.conf, or else from hccn_tool."""
    output: Path = Path(".")
    """Folder that receives hccl_<n>p_<devices>_<server>.json."""
    check: Optional[Path] = None
    """Check this rank table instead of writing one."""


def rank_table(config: RankTableConfig) -> Path:
    """Write the table and return its path, or check the table that `config.check` names. Raises `ConfigError`."""
    if config.check is not None:
        ranks = len(read_rank_table(config.check))
        print(f"{config.check} is a rank table of {ranks} device{'s' if ranks > 1 else ''}")
        return config.check
    devices = parse_devices(config.devices)
    server = _address("the server's address", config.server or _own_address())
    addresses = list(config.device_addresses) or [_device_address(device) for device in devices]
    table = build_rank_table(server, devices, addresses)
    path = config.output / f"hccl_{len(devices)}p_{''.join(map(str, devices))}_{server}.json"
    config.output.mkdir(parents=True, exist_ok=True)
    write_json(path, table)
    print(f"wrote {path}")
    return path


def build_rank_table(server: str, devices: Sequence[int], addresses: Sequence[str]) -> dict[str, Any]:
    """The table of one server as a dictionary. Raises `ConfigError` when an address is missing or is none."""
    if len(addresses) != len(devices):
        raise ConfigError(
            f"there are {len(devices)} devices and {len(addresses)} device addresses: give one address per device"
        )
    entries = [
        {
            "device_id": str(device),
            "device_ip": _address(f"the address of device {device}", address),
            "rank_id": str(rank),
        }
        for rank, (device, address) in enumerate(zip(devices, addresses))
    ]
    return {
        "version": "1.0",
        "server_count": "1",
        "server_list": [{"server_id": server, "device": entries, "host_nic_ip": "reserve"}],
        "status": "completed",
    }


def parse_devices(text: str) -> list[int]:
    """Device numbers from "0-7" or "0,1,4,5". Raises `ConfigError` for anything that HCCL would not accept on one server."""
    devices: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,2})(?:-(\d{1,2}))?\s*", part)
        if found is None:
            raise ConfigError(f"devices is {text!r}: write a range such as 0-7 or a list such as 0,1,4,5")
        first = int(found.group(1))
        devices.extend(range(first, int(found.group(2) or first) + 1))
    if not devices or max(devices) >= DEVICES_PER_SERVER or len(set(devices)) != len(devices):
        raise ConfigError(f"devices is {text!r}: they must be different numbers from 0 to {DEVICES_PER_SERVER - 1}")
    half = DEVICES_PER_SERVER // 2
    if 1 < len(devices) <= half and len({device // half for device in devices}) > 1:
        raise ConfigError(
            f"devices is {text!r}: up to {half} devices must belong to one half of the server, 0-3 or 4-7"
        )
    return devices


def read_rank_table(path: Path) -> list[tuple[str, int]]:
    """(server, device) of every rank, in rank order. Raises `ConfigError` naming the entry that is wrong."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the rank table {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"the rank table {path} is not JSON: {error}") from None
    try:
        return _ranks(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(
            f"the rank table {path} is not usable: {reason}; make one with `bert-thor ranktable`"
        ) from None


def _ranks(table: dict[str, Any]) -> list[tuple[str, int]]:
    if table["status"] != "completed":
        raise ValueError(f"its status is {table['status']!r}, not 'completed'")
    servers = table["server_list"]
    if int(table["server_count"]) != len(servers):
        raise ValueError(f"server_count is {table['server_count']!r}, but the list has {len(servers)} servers")
    ranks: dict[int, tuple[str, int]] = {}
    for server in servers:
        for device in server["device"]:
            rank = int(device["rank_id"])
            if rank in ranks:
                raise ValueError(f"rank {rank} appears twice")
            _address(f"the address of rank {rank}", device["device_ip"])
            ranks[rank] = (server["server_id"], int(device["device_id"]))
    if sorted(ranks) != list(range(len(ranks))) or not ranks:
        raise ValueError(f"its ranks are {sorted(ranks)}, not 0 to {max(len(ranks) - 1, 0)}")
    if len(set(ranks.values())) != len(ranks):
        raise ValueError("two ranks share a device")
    return [ranks[rank] for rank in range(len(ranks))]


def _address(what: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(f"{what} is {text!r}: an IP address was expected, such as 192.168.100.101") from None


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        raise ConfigError("the address of this server is not known: give it with --server") from None


def _device_address(device: int) -> str:
    """From the driver's configuration, or else asked of the device itself."""
    if HCCN_CONFIGURATION.is_file():
        found = re.search(rf"^address_{device}=(\S+)", HCCN_CONFIGURATION.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found.group(1)
    try:
        command = ["hccn_tool", "-i", str(device), "-ip", "-g"]
        output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        output = ""
    found = re.search(r"ipaddr:(\S+)", output)
    if not found:
        raise ConfigError(
            f"the network address of device {device} is neither in {HCCN_CONFIGURATION} nor known to hccn_tool: "
            "give all addresses with --device-addresses"
        )
    return found.group(1)
