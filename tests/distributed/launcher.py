"""Starts the processes of one job on this machine, and ends them all, whatever happens."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

JOBS = Path(__file__).with_name("jobs.py")
LONGEST = 100
"""Seconds after which processes that do not end are killed, on a machine that does much besides."""

_TOLD = "told: "


class Ended(NamedTuple):
    """How a process ended, and what it printed."""

    code: int | None
    output: str

    @property
    def told(self) -> Any:
        """What the process gave to `tell`."""
        lines = [it for it in self.output.splitlines() if it.startswith(_TOLD)]
        assert lines, self.output
        return json.loads(lines[-1].removeprefix(_TOLD))


def tell(result: Any) -> None:
    """Tell the test, from inside of a process of the job."""
    print(f"\n{_TOLD}{json.dumps(result)}", flush=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(job: str, processes: int, folder: Path, *, limit: float = LONGEST) -> list[Ended]:
    """Run a function of `jobs.py` in so many processes.

    Any that is left after `limit` seconds is killed, and its code is None.
    """
    begin = time.monotonic()
    command = [sys.executable, "-X", "faulthandler", JOBS, job, free_port(), processes, folder]
    outputs = [folder / f"output-{number}" for number in range(processes)]
    started: list[subprocess.Popen[bytes]] = []
    ended: dict[int, int] = {}
    try:
        started.extend(
            _start([*map(str, command), str(number)], output)
            for number, output in enumerate(outputs)
        )
        while len(ended) < processes and time.monotonic() - begin < limit:
            time.sleep(0.02)
            codes = {number: process.poll() for number, process in enumerate(started)}
            ended = {number: code for number, code in codes.items() if code is not None}
        _tell_where_they_hang([process for process in started if process.poll() is None])
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [Ended(ended.get(number), it.read_text()) for number, it in enumerate(outputs)]


def _tell_where_they_hang(processes: list["subprocess.Popen[bytes]"]) -> None:
    for process in processes:
        process.send_signal(signal.SIGABRT)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _start(command: list[str], output: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with output.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def told_by_all(job: str, processes: int, folder: Path) -> list[Any]:
    """Run a job that is to end well, and give what each process told."""
    ended = run(job, processes, folder)
    for it in ended:
        assert it.code == 0, it.output
    return [it.told for it in ended]
