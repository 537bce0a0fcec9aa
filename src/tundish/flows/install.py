"""The file by which a machine starts a line: a systemd unit, or a Windows service's XML.

Nothing is installed here: the file is written, and the administrator, who alone may,
puts it in its place. The line runs as an ordinary user with no more rights than it needs.
The Windows form is for WinSW and was never run where Tundish is developed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape

from tundish.flows.outputs import write_out
from tundish.flows.workspace import Workspace
from tundish.kernel import paths
from tundish.kernel.records import Record
from tundish.line.linefile import LineFile, read_line_file

System = Literal["systemd", "windows"]


class InstallReport(Record):
    """The file that was written, and what the administrator gives then."""

    file: str
    system: System
    next: tuple[str, ...]


def install(
    workspace: Workspace, path: Path, *, system: System, user: str, to: Path | None
) -> InstallReport:
    """Write the file by which a machine starts a line.

    Args:
        workspace: The box's.
        path: The line file.
        system: Whose form.
        user: Account that the line runs under; its own, with no other rights.
        to: Where to write it; default: beside the line file.

    Raises:
        DocumentInvalidError: if the line file is wrong.
        OutExistsError: if another file is there.
    """
    line = read_line_file(paths.existing_file(path))
    name = f"tundish-{line.name}"
    root, file = workspace.root.resolve(), path.resolve()
    words = (sys.executable, "-m", "tundish", "line", "run", str(file), "-w", str(root))
    if system == "systemd":
        text, ending = unit(line, words, user, {root, file.parent}), ".service"
    else:
        text, ending = winsw(line, words), ".xml"
    out = to or file.with_name(name + ending)
    write_out(out, text.encode())
    return InstallReport(file=str(out), system=system, next=_next(system, out, name))


def unit(line: LineFile, words: tuple[str, ...], user: str, folders: set[Path]) -> str:
    """Return a systemd unit.

    Args:
        line: The line.
        words: The command.
        user: Account.
        folders: The only ones that it may write to.
    """
    writable = " ".join(placed(str(folder)) for folder in sorted(folders))
    return f"""[Unit]
Description=Tundish line {line.name.replace("%", "%%")}
Wants=network-online.target
After=network-online.target
# the plant's servers may come back an hour after this machine: there is no last try
StartLimitIntervalSec=0

[Service]
ExecStart={" ".join(quoted(word) for word in words)}
User={user}
# Ctrl-C is a clean stop: what was acknowledged is on disk
KillSignal=SIGINT
TimeoutStopSec=30
# 1: its grant ended; 2: its line file is wrong; 3: it was refused. None mends itself
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=1 2 3
# the model stays off swap and out of dumps
LimitMEMLOCK=infinity
LimitCORE=0
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ReadWritePaths={writable}
PrivateTmp=yes
ProtectHome=read-only
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def winsw(line: LineFile, words: tuple[str, ...]) -> str:
    """Return a service definition for WinSW 3; never run where Tundish is developed."""
    arguments = " ".join(f'"{word}"' if " " in word else word for word in words[1:])
    return f"""<!-- For WinSW 3. Written and tested as a text; never run where Tundish is developed. -->
<service>
  <id>tundish-{escape(line.name)}</id>
  <name>Tundish line {escape(line.name)}</name>
  <description>Runs a sealed model on the plant's signals.</description>
  <executable>{escape(words[0])}</executable>
  <arguments>{escape(arguments)}</arguments>
  <onfailure action="restart" delay="5 sec"/>
  <stoptimeout>30 sec</stoptimeout>
  <log mode="roll"/>
</service>
"""


def quoted(word: str) -> str:
    """Return a word of a command as systemd reads it: no variable, no second word."""
    return placed(word).replace("$", "$$")


def placed(path: str) -> str:
    """Return a path as systemd reads it: no specifier, no second path."""
    plain = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def _next(system: System, out: Path, name: str) -> tuple[str, ...]:
    if system == "systemd":
        return (
            f"sudo cp {out} /etc/systemd/system/",
            "sudo systemctl daemon-reload",
            f"sudo systemctl enable --now {name}",
        )
    return (
        f"put WinSW beside {out.name} as {name}.exe",
        f"{name}.exe install",
        f"{name}.exe start",
    )
