"""What a unit's text says: enough of systemd's syntax to see whether a setting is there."""

from __future__ import annotations

from gopub.fleet.modes.protocol import Service


def settings(text: str, section: str, *names: str) -> tuple[str, ...]:
    """The values of these settings in a section, as they count: an empty one forgets those before it."""
    found: dict[str, list[str]] = {name: [] for name in names}
    inside = ""
    for line in _lines(text):
        if line.startswith("["):
            inside = line.strip("[]")
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        if inside == section and name in found:
            found[name] = [*found[name], value] if value else []
    return tuple(value for name in names for value in found[name])


def by_link(service: Service, unit: str) -> tuple[str, ...]:
    """What is missing so that a process which starts its own file anew starts that of the next release."""
    program = f"/opt/{service.instance}/current/bin/{service.app}"
    started = [line.lstrip("@-:+!").split()[:1] for line in settings(unit, "Service", "ExecStart")]
    if [program] in [[word.strip('"') for word in words] for words in started]:
        return ()
    return (f"{service.unit} does not start {program} in ExecStart= of [Service]",)


def _lines(text: str) -> list[str]:
    """Lines without comments; one that ends with a backslash goes on."""
    whole: list[str] = []
    goes_on = False
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")) or not (line or goes_on):
            continue
        if goes_on:
            whole[-1] += " " + line.removesuffix("\\").strip()
        else:
            whole.append(line.removesuffix("\\").strip())
        goes_on = line.endswith("\\")
    return whole


def triggers(text: str) -> bool:
    """Whether a unit has a condition of which one is enough."""
    inside = ""
    for line in _lines(text):
        if line.startswith("["):
            inside = line.strip("[]")
            continue
        name, _, value = (part.strip() for part in line.partition("="))
        if inside == "Unit" and name.startswith("Condition") and value.startswith("|"):
            return True
    return False
