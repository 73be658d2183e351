"""The rank table has the format of hccl_tools, and a table that HCCL could not use is refused by naming the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bert_thor.errors import ConfigError
from bert_thor.parallel.rank_table import RankTableConfig, parse_devices, rank_table, read_rank_table

ADDRESSES = tuple(f"192.168.{100 + device % 4}.{101 + device // 4}" for device in range(8))


def write(folder: Path, devices: str = "0-7") -> Path:
    chosen = tuple(ADDRESSES[device] for device in parse_devices(devices))
    return rank_table(RankTableConfig(devices, "10.0.0.1", chosen, folder))


def test_the_format_of_hccl_tools(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert path.name == "hccl_8p_01234567_10.0.0.1.json"
    table = json.loads(path.read_text())
    assert {name: table[name] for name in ("version", "server_count", "status")} == {
        "version": "1.0",
        "server_count": "1",
        "status": "completed",
    }
    (server,) = table["server_list"]
    assert server["server_id"] == "10.0.0.1" and server["host_nic_ip"] == "reserve"
    assert server["device"][5] == {"device_id": "5", "device_ip": "192.168.101.102", "rank_id": "5"}
    assert read_rank_table(path) == [("10.0.0.1", device) for device in range(8)]


def test_ranks_count_from_zero_on_any_devices(tmp_path: Path) -> None:
    assert read_rank_table(write(tmp_path, "4,5,6,7")) == [("10.0.0.1", device) for device in (4, 5, 6, 7)]


@pytest.mark.parametrize("devices", ["", "0-", "a", "0,0", "0-8", "7-0", "2-5", "3,4", "-1"])
def test_impossible_devices(tmp_path: Path, devices: str) -> None:
    with pytest.raises(ConfigError, match="devices is"):
        parse_devices(devices)
    assert not list(tmp_path.iterdir())


def test_addresses(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="2 devices and 1 device addresses"):
        rank_table(RankTableConfig("0,1", "10.0.0.1", ADDRESSES[:1], tmp_path))
    with pytest.raises(ConfigError, match=r"device 1 is '10\.0\.0'"):
        rank_table(RankTableConfig("0,1", "10.0.0.1", ("10.0.0.2", "10.0.0"), tmp_path))
    with pytest.raises(ConfigError, match=r"device 0 is neither in /etc/hccn\.conf"):
        rank_table(RankTableConfig("0", "10.0.0.1", (), tmp_path))
    assert not list(tmp_path.iterdir())


def _broken(table: dict[str, Any], damage: str) -> Any:
    device = table["server_list"][0]["device"]
    if damage == "status":
        table["status"] = "initializing"
    elif damage == "count":
        table["server_count"] = "2"
    elif damage == "gap":
        device[7]["rank_id"] = "8"
    elif damage == "twice":
        device[7]["rank_id"] = "0"
    elif damage == "shared":
        device[7]["device_id"] = "0"
    elif damage == "address":
        device[7]["device_ip"] = "nowhere"
    elif damage == "missing":
        del device[7]["rank_id"]
    elif damage == "list":
        return [table]
    return table


@pytest.mark.parametrize(
    ("damage", "fragment"),
    [
        ("status", "initializing"),
        ("count", "'2'"),
        ("gap", "8"),
        ("twice", "rank 0 appears twice"),
        ("shared", "share a device"),
        ("address", "'nowhere'"),
        ("missing", "rank_id is missing"),
        ("list", "not usable"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, damage: str, fragment: str) -> None:
    path = write(tmp_path)
    path.write_text(json.dumps(_broken(json.loads(path.read_text()), damage)))
    with pytest.raises(ConfigError) as error:
        read_rank_table(path)
    assert fragment in str(error.value) and "\n" not in str(error.value)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rank_table(tmp_path / "absent.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_rank_table(tmp_path / "text.json")
