"""Starts the processes of one job on this machine, and ends them all, whatever happens."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, NamedTuple

JOBS = Path(__file__).with_name("jobs.py")
LONGEST = 100
"""Seconds after which processes that do not end are killed, on a machine that does much besides."""

_TOLD = "told: "


class Ended(NamedTuple):
    """How a process ended: what it printed, and what it gave to `tell`."""

    code: int
    output: str
    seconds: float

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

    Any that is left after `limit` seconds is killed, and has the code that tells of it.
    """
    begin = time.monotonic()
    command = [sys.executable, "-X", "faulthandler", JOBS, job, str(free_port()), str(processes), str(folder)]
    files: list[IO[str]] = []
    started: list[subprocess.Popen[str]] = []
    seconds: dict[int, float] = {}
    try:
        for number in range(processes):
            files.append(tempfile.TemporaryFile("w+"))
            started.append(_start([*command, str(number)], files[-1]))
        while len(seconds) < processes and time.monotonic() - begin < limit:
            time.sleep(0.02)
            for number, process in enumerate(started):
                if number not in seconds and process.poll() is not None:
                    seconds[number] = time.monotonic() - begin
        for process in started:
            if process.poll() is None:  # what hangs prints where
                process.send_signal(signal.SIGABRT)
    finally:
        for process in started:
            process.kill()
        codes = [process.wait() for process in started]
        outputs = [_read(file) for file in files]
    return [
        Ended(code, output, seconds.get(number, limit))
        for number, (code, output) in enumerate(zip(codes, outputs, strict=True))
    ]


def _start(command: list[Any], file: IO[str]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        command, stdout=file, stderr=subprocess.STDOUT, text=True, env=environment
    )


def _read(file: IO[str]) -> str:
    with file:
        file.seek(0)
        return file.read()


def told_by_all(job: str, processes: int, folder: Path) -> list[Any]:
    """Run a job that is to end well, and give what each process told."""
    ended = run(job, processes, folder)
    for it in ended:
        assert it.code == 0, it.output
    return [it.told for it in ended]
