"""How processes find each other, and what is said when they do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ranks import Ranks

from bert_thor.errors import ConfigError
from bert_thor.parallel.world import launched_ranks

LIMIT = 240.0
"""Seconds that a few processes may take to start on a busy machine."""


def test_how_many_processes_were_launched() -> None:
    assert launched_ranks({}) == 1
    assert launched_ranks({"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "4"}) == 4
    assert launched_ranks({"RANK_SIZE": "8"}) == 1, "without a rank table the variable means nothing"
    assert launched_ranks({"RANK_SIZE": "8", "RANK_TABLE_FILE": "table.json"}) == 8
    with pytest.raises(ConfigError, match="MS_WORKER_NUM is 'two'"):
        launched_ranks({"MS_ROLE": "MS_WORKER", "MS_WORKER_NUM": "two"})


@pytest.mark.long
def test_the_limit_to_connect_ends_no_training(tmp_path: Path) -> None:
    limit = 60
    program = (
        "import sys, time; from bert_thor.compat import use_graph_mode; from bert_thor.parallel.world import join_world\n"
        "from bert_thor.cli import end_process\n"
        f"use_graph_mode('CPU'); join_world(); time.sleep({limit}); end_process(0)"
    )
    with Ranks(1, tmp_path, [sys.executable, "-c", program], connect_seconds=limit) as group:
        assert group.wait(LIMIT) == [0], group.log(0)
        assert group.scheduler.wait(LIMIT) == 0, (tmp_path / "scheduler.log").read_text()


def test_a_process_that_finds_no_others_says_so(tmp_path: Path) -> None:
    program = (
        "from bert_thor.compat import use_graph_mode as use; "
        "from bert_thor.parallel.world import join_world; use('CPU'); join_world()"
    )
    cluster = {
        "MS_ROLE": "MS_WORKER",
        "MS_WORKER_NUM": "2",
        "MS_SCHED_HOST": "127.0.0.1",
        "MS_SCHED_PORT": "1",
        "MS_NODE_ID": "0",
    }
    environment = {**os.environ, **cluster, "MS_TOPO_TIMEOUT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == -signal.SIGKILL
    assert "error: the 2 processes have not found each other within 1 s" in done.stderr
