"""An OpenSSH server for tests: its own keys, configuration and port, as the user who runs the tests.

Started once for a test process; it dies with it. Sessions see the whole file system, as SFTP without a chroot does.
"""

from __future__ import annotations

import atexit
import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jobs.engine.plan import Secret
from tests import lasting_children

PASSPHRASE = "of the private key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshServer:
    """``key`` opens it with PASSPHRASE, ``plain_key`` without; ``stranger`` is a key it does not know."""

    port: int
    folder: Path
    pid: int

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def plain_key(self) -> Path:
        return self.folder / "plain_key"

    @property
    def stranger(self) -> Path:
        return self.folder / "stranger"

    @property
    def host_key(self) -> str:
        """As ``ssh-keyscan`` tells it, without the host."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        command = ["ssh-keygen", "-lf", str(self.folder / "host_key.pub")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]

    def sessions(self) -> list[int]:
        """Their process ids."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def cut(self) -> None:
        """Every session ends in the middle of whatever it does."""
        self.tell(signal.SIGKILL)

    def tell(self, what: signal.Signals) -> None:
        """Send it to every session, but for those that have just ended by themselves."""
        for pid in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def stock_command(self) -> str:
        """What ``restic -o sftp.command`` runs."""
        return (
            f"ssh -F none -p {self.port} -i {self.plain_key} -o IdentitiesOnly=yes -o BatchMode=yes "
            f"-o UserKnownHostsFile={self.folder / 'known_hosts'} {getpass.getuser()}@127.0.0.1 -s sftp"
        )


def values(place: Path) -> dict[str, object]:
    """Options of a medium in a directory there."""
    found = server()
    return {
        "host": "127.0.0.1",
        "port": found.port,
        "user": getpass.getuser(),
        "host_key": found.host_key,
        "path": str(place),
    }


def secrets() -> dict[str, Secret]:
    return {"private_key": Secret(server().key.read_text()), "passphrase": Secret(PASSPHRASE)}


@cache
def server() -> SshServer:
    """The server of this process."""
    folder = Path(tempfile.mkdtemp(prefix="sc-sshd-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, passphrase in (("host_key", ""), ("key", PASSPHRASE), ("plain_key", ""), ("stranger", "")):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-C", "", "-N", passphrase, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    allowed = folder / "authorized_keys"
    allowed.write_text((folder / "key.pub").read_text() + (folder / "plain_key.pub").read_text())
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    found = None
    while found is None:
        found = _started(folder)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{found.port} {found.host_key}\n")
    return found


def _started(folder: Path) -> SshServer | None:
    """It takes no port of the system's choice: one that is free now. None = somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    (folder / "config").write_text(_configuration(folder, port))
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    with (folder / "log").open("w") as log:
        command = [sshd, "-D", "-e", "-f", str(folder / "config")]
        child = lasting_children.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return SshServer(port=port, folder=folder, pid=child.pid) if _listens(child, folder / "log") else None


def _configuration(folder: Path, port: int) -> str:
    return f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {folder / "host_key"}
PidFile none
AuthorizedKeysFile {folder / "authorized_keys"}
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
"""


def _listens(child: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait until it does, by its own word: another server may answer at that port. False = the port is taken."""
    ends_at = time.monotonic() + 60
    while True:
        is_over = child.poll() is not None
        told = log.read_text()
        if "Server listening on" in told:
            return True
        if is_over and "Address already in use" in told:
            return False
        assert not is_over, told
        assert time.monotonic() < ends_at, f"sshd does not listen: {told}"
        time.sleep(0.02)


def strangers_remote(name: str) -> str:
    """A section of rclone's configuration that leads to the server, with a key it does not know."""
    found = server()
    return (
        f"[{name}]\ntype = sftp\nhost = 127.0.0.1\nport = {found.port}\nuser = {getpass.getuser()}\n"
        f"key_file = {found.stranger}\n"
    )
