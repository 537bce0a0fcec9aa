"""Run a command with the network cut, loopback excepted, where the kernel allows it.

Child processes are bound too, which a socket guard inside pytest cannot do.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def raise_loopback() -> None:
    """Set the loopback interface of the new network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(probe, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


def main() -> int:
    """Cut the network, then become the command given as arguments."""
    command = sys.argv[1:]
    if command[0] == "--inside":
        raise_loopback()
        os.execvp(command[1], command[1:])  # noqa: S606
    unshare = shutil.which("unshare")
    if (
        unshare
        and subprocess.run([unshare, "-rn", "true"], check=False).returncode == 0
    ):
        inside = [unshare, "-rn", sys.executable, __file__, "--inside", *command]
        return subprocess.run(
            inside, check=False, env=os.environ | {"TUNDISH_NETWORK_CUT": "1"}
        ).returncode
    print("note: the network cannot be cut here; only the socket guard holds")
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
