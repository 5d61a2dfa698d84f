"""What a reader must know about the machine and the versions before believing a number."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("kafka-python", "psycopg", "eventsourcing", "polars", "pydantic", "orjson")


def facts(postgres: dict[str, str], kafka: str) -> dict[str, str]:
    settings = ", ".join(f"{name} {value}" for name, value in postgres.items() if name != "server_version")
    return computer() | {
        "PostgreSQL": f"{postgres['server_version']} (embedded, {settings})",
        "Kafka": kafka,
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def computer() -> dict[str, str]:
    return {
        "commit": _commit(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "processor": _processor(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
