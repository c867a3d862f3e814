"""A cable from this machine to a network namespace: a veth pair with addresses of their own.

Addresses are from 198.18.0.0/15, which is set aside for tests of network devices (RFC 2544). The number in the name of
the interface is that of its two addresses, so that the kernel keeps test processes apart: a name exists once.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

from tests.quiet_network import changing

NETWORK: Final = ipaddress.ip_network("198.18.0.0/15")
LINKS: Final = NETWORK.num_addresses // 4
MOST_TRIES: Final = 200
COMMAND_SECONDS: Final = 60


class CannotLink(Exception):
    """Why this machine cannot do it."""


@contextlib.contextmanager
def linked(pid: int, *, gbit: float | None = None) -> Iterator[str]:
    """The address of the namespace that the process ``pid`` is in, as this machine reaches it. Raises CannotLink.

    What comes from there is held to ``gbit`` Gbit/s; None = as quick as the machine copies it.
    """
    if shutil.which("ip") is None:
        raise CannotLink("ip is not installed (apt install iproute2)")
    with changing():
        number = _add(pid)
    here, there = (str(NETWORK[4 * number + place]) for place in (1, 2))
    try:
        with changing():
            _ip("address", "add", f"{here}/30", "dev", _name(number))
            _ip("link", "set", _name(number), "up")
            _inside(pid, "ip", "address", "add", f"{there}/30", "dev", _peer(number))
            _inside(pid, "ip", "link", "set", _peer(number), "up")
            if gbit is not None:
                _hold(pid, _peer(number), gbit)
        yield there
    finally:
        # Its other end goes with it; where the namespace is gone already, both are.
        with changing():
            subprocess.run(
                ["ip", "link", "delete", _name(number)], capture_output=True, check=False, timeout=COMMAND_SECONDS
            )


def _add(pid: int) -> int:
    """The number of a pair that is now ours, its other end in the namespace."""
    first, said = os.getpid(), ""
    for number in (one % LINKS for one in range(first, first + MOST_TRIES)):
        pair = ["link", "add", _name(number), "type", "veth", "peer", "name", _peer(number), "netns", str(pid)]
        done = subprocess.run(["ip", *pair], capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
        if done.returncode == 0:
            return number
        said = done.stderr.strip()
        if "exists" not in said:
            break
    raise CannotLink(f"no veth pair: {said}")


def _name(number: int) -> str:
    return f"scndmp{number}"


def _peer(number: int) -> str:
    return f"scfar{number}"


def _hold(pid: int, device: str, gbit: float) -> None:
    """A token bucket on the sender's side, as a switch holds a port."""
    bucket = ["tbf", "rate", f"{round(gbit * 1000)}mbit", "burst", "1mb", "latency", "50ms"]
    _inside(pid, "tc", "qdisc", "add", "dev", device, "root", *bucket)


def _inside(pid: int, *command: str) -> None:
    _run(["nsenter", f"--net=/proc/{pid}/ns/net", *command])


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    if done.returncode:
        raise CannotLink(f"{' '.join(command)}: {done.stderr.strip()}")
