"""The systemd unit that gopub writes where a team brings none; values are quoted, never pasted."""

from __future__ import annotations

from collections.abc import Mapping

from gopub.errors import SpecError
from gopub.fleet.modes import MODES, Service
from gopub.fleet.runtime import Runtime

STOP_MARGIN = 10.0  # seconds that a service gets beyond its drain before systemd kills it


def default_unit(service: Service) -> str:
    """The unit's text. ``/opt/INSTANCE/current`` stands for the release's own folder.

    Raises:
        SpecError: GP409 when an argument or a variable has a control character.
    """
    current = f"/opt/{service.instance}/current"
    command = " ".join((f"{current}/bin/{service.app}", *(_word(word) for word in service.args)))
    variables = _variables({**service.env, **service.runtime.variables})
    mode = MODES[service.mode]
    also = "".join(f"{line}\n" for line in mode.unit_lines(service))
    kind = "\n".join(mode.service_lines(service))
    usual = "" if "files" in service.runtime.limits else "LimitNOFILE=65536\n"
    limits = usual + service.runtime.limit_lines()
    return f"""\
[Unit]
Description={service.app} as {service.instance}, released by gopub
{also}After=network.target
StartLimitIntervalSec=30
StartLimitBurst=5

[Service]
{kind}
{f"User={service.user}" if service.user else "DynamicUser=yes"}
SyslogIdentifier={service.instance}
WorkingDirectory={current}
StateDirectory={service.instance}
ExecStart={command}
{variables}Restart=on-failure
RestartSec=500ms
KillSignal=SIGTERM
TimeoutStopSec={stop_seconds(service.drain)}
{limits}NoNewPrivileges=yes
AmbientCapabilities=CAP_NET_BIND_SERVICE
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""


def with_runtime(unit: str, runtime: Runtime) -> str:
    """A team's own unit with a section behind it: what comes later in a unit wins, and all of it is one file.

    A drop-in would be a second file, which is not changed in the same instant. The empty line ends a line that goes on.

    Raises:
        SpecError: GP409 when a variable has a control character.
    """
    if not runtime:
        return unit
    said = "# service.runtime and service.limits of gopub.yaml\n[Service]\n"
    return f"{unit}\n\n{said}{_variables(runtime.variables)}{runtime.limit_lines()}"


def unit_name(instance: str, slot: str = "") -> str:
    """The unit of an instance, or of one of its two slots."""
    return f"{instance}@{slot}.service" if slot else f"{instance}.service"


def stop_seconds(drain: float) -> int:
    """``TimeoutStopSec`` for a drain: longer than it, so that systemd never cuts it short."""
    return round(drain + STOP_MARGIN)


def refuse_control(text: str, what: str) -> str:
    """The text, if it is one line of printable characters.

    Raises:
        SpecError: GP409 otherwise: it could add a line of its own to a unit.
    """
    if text.isprintable():
        return text
    raise control_character(what, text)


def control_character(what: str, text: str) -> SpecError:
    """The error for a value that could add a line of its own to a unit; it shows the beginning."""
    return SpecError(
        "GP409",
        f"{what} has a control character: {text[:60]!r}",
        hint="values in a unit are single lines; put longer ones into a config file",
    )


__all__ = ["Service", "control_character", "default_unit", "refuse_control", "stop_seconds", "with_runtime"]


def _variables(env: Mapping[str, str]) -> str:
    return "".join(f"Environment={_quoted(f'{name}={text}', name)}\n" for name, text in env.items())


def _word(text: str) -> str:
    # systemd expands $NAME in the words of a command, but not in Environment=.
    return _quoted(text, "an argument").replace("$", "$$")


def _quoted(text: str, what: str) -> str:
    refuse_control(text, what)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
