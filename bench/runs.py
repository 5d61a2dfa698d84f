"""Runs worker processes, joins their spans, and samples their memory while they run."""

from __future__ import annotations

import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psutil

from bench.span import Span

_ROOT = Path(__file__).parents[1]
_SAMPLE_SECONDS = 0.1
_START_SECONDS_MAX = 60.0
# Slower than anything seen by a factor of ten; a run that takes longer hangs, and is killed.
_EVENTS_A_SECOND_MIN = 100


class RunFailed(Exception):
    """A worker ended without a span or took too long; the text has the end of what it said."""


class Sample(NamedTuple):
    """Memory in bytes of a worker and its children, when it had committed that many events."""

    committed: int
    memory: int


class Run(NamedTuple):
    """Spans joined: from the first of the firsts to the last of the lasts."""

    events: int
    seconds: float
    cpu: float
    samples: list[Sample]

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def run(tasks: Sequence[dict[str, Any]], events: int, *, sampled: bool = False) -> Run:
    """A worker a task, begun together when all are ready. Raises RunFailed, also where not every event was committed."""
    samples: list[Sample] = []
    workers: list[Worker] = []
    try:
        workers += [Worker(task) for task in tasks]
        for worker in workers:
            worker.until("ready", _START_SECONDS_MAX)
        for worker in workers:
            worker.go()
        patience = _START_SECONDS_MAX + events / _EVENTS_A_SECOND_MIN
        spans = [worker.until("span", patience, samples if sampled else None) for worker in workers]
        joined = [Span(**span) for span in spans]
    finally:
        for worker in workers:
            worker.end()
    committed = sum(span.events for span in joined)
    if committed != events:
        raise RunFailed(f"{events:,} events were there and {committed:,} were committed")
    seconds = max(span.last for span in joined) - min(span.first for span in joined)
    return Run(events, seconds, sum(span.cpu for span in joined), samples)


class Worker:
    """A process that runs a task: of the module `module`, by the interpreter `python`."""

    def __init__(self, task: dict[str, Any], module: str = "bench.worker", python: str = sys.executable) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end
        self._process = subprocess.Popen(
            [python, "-m", module, orjson.dumps(task).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=_ROOT,
        )
        self._said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._committed = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def until(self, word: str, seconds_max: float, samples: list[Sample] | None = None) -> Any:
        """What the worker says under that word, samples of its memory taken meanwhile. Raises RunFailed."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            if samples is not None:
                samples.append(Sample(self._committed, _memory(self._process.pid)))
            try:
                said = self._said.get(timeout=_SAMPLE_SECONDS)
            except queue.Empty:
                continue
            if said is None:
                raise RunFailed(f"a worker ended without {word}:\n{self._end_of_errors()}")
            self._committed = said.get("committed", self._committed)
            if word in said:
                return said[word]
        raise RunFailed(f"no {word} after {seconds_max:.0f} s; the worker hangs:\n{self._end_of_errors()}")

    def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                self._said.put(orjson.loads(line))
        self._said.put(None)

    def _end_of_errors(self) -> str:
        self._errors.seek(0)
        return "\n".join(self._errors.read().decode(errors="replace").splitlines()[-15:])


def _memory(pid: int) -> int:
    """Proportional set size of the process and its children; resident size where the system knows no better."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            found = process.memory_full_info()
            total += getattr(found, "pss", found.rss)
    except psutil.NoSuchProcess:
        pass
    return total
