"""A release's files for one host: templates and unit, rendered; their id; and the payload that carries them.

The render id is the digest of what was rendered, so a changed variable is a new release folder on the host and
config goes back together with the binary.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from gopub.canon import Json, sha256
from gopub.errors import SpecError, Where
from gopub.fleet.modes import MODES
from gopub.fleet.runtime import listing_name
from gopub.fleet.slots import SIDE, SLOTS
from gopub.fleet.unit import Service, control_character, default_unit, refuse_control, with_runtime
from gopub.fleet.vaulted import ENCRYPTED, Vaulted
from gopub.sandbox import Encrypted, TemplateFault, fill
from gopub.spec.rules import fits_archive
from gopub.spec.runtime import wrong_go

FILE_MODE = 0o644
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._@+-]+(/[A-Za-z0-9._@+-]+)*")


@dataclass(frozen=True, slots=True)
class Rendered:
    """The rendered files by path, and the id of all of them together (64 hex)."""

    files: Mapping[str, bytes]
    render_id: str

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Rendered:
        """Name the files by their digest: path, mode and content, in the order of the paths."""
        lines = (f"{path}\0{FILE_MODE:04o}\0{sha256(data)}\n" for path, data in sorted(files.items()))
        return cls(dict(sorted(files.items())), sha256("".join(lines).encode()))

    def unpacked(self) -> int:
        """Bytes of the tar inside of :meth:`payload`: what a host may write while it unpacks it."""
        blocks = sum(1 + -(-len(data) // tarfile.BLOCKSIZE) for data in self.files.values())
        return -(-(blocks + 2) * tarfile.BLOCKSIZE // tarfile.RECORDSIZE) * tarfile.RECORDSIZE

    def payload(self) -> bytes:
        """The files as tar.gz, always the same bytes: what a stage order carries first."""
        packed = io.BytesIO()
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for path, data in self.files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), FILE_MODE
                tar.addfile(entry, io.BytesIO(data))
        return packed.getvalue()


def render(files: Mapping[str, str], variables: Mapping[str, Json]) -> Rendered:
    """Render templates by their paths in the release folder.

    Raises:
        SpecError: GP407 a template is wrong or names what is not there, GP408 it wants too much, GP406 a path.
    """
    return Rendered.of({check_path(path): _text(path, source, variables) for path, source in files.items()})


def render_release(
    templates: Mapping[str, str], unit: str | None, service: Service, variables: Mapping[str, Json]
) -> Rendered:
    """Everything that one host gets beside the binary: its config files and ``INSTANCE.service``.

    ``args``, ``env`` and a team's own unit are templates, too; what a variable puts into them is one line.

    Raises:
        SpecError: as :func:`render`, GP409 for a value that would break out of its line of the unit, GP531 where a
            team's own unit does not have what the mode of switching needs, and GP570 for one that Go does not take.
    """
    if service.mode == SIDE and not service.slot:
        return _side_by_side(templates, unit, service, variables)
    name = service.unit
    told = {key: _variable(key, text, variables) for key, text in service.runtime.variables.items()}
    runtime = replace(service.runtime, variables=told)
    if unit is None:
        filled = replace(
            service,
            args=tuple(_line(f"service.args[{n}]", word, variables) for n, word in enumerate(service.args)),
            env={key: _line(f"service.env.{key}", text, variables) for key, text in service.env.items()},
            runtime=runtime,
        )
        text = default_unit(filled).encode()
    else:
        own = _text(name, unit, variables, one_line=True).decode()
        text = with_runtime(own, runtime).encode()
    beside = {file: content.encode() for file, content in MODES[service.mode].files(service).items()}
    units = {
        **beside,
        **{file: _text(file, templates[file], variables, one_line=True) for file in beside if file in templates},
    }
    read_back = {listing_name(service.instance): runtime.listing()} if runtime else {}
    plain = {path: source for path, source in templates.items() if path not in beside}
    whole = Rendered.of({**render(plain, variables).files, **units, **read_back, name: text})
    _check_units(service, {file: whole.files[file].decode() for file in (*beside, name)})
    return whole


def _side_by_side(
    templates: Mapping[str, str], unit: str | None, service: Service, variables: Mapping[str, Json]
) -> Rendered:
    """The units of both slots; a config file that came out another for each lies in a folder of the slot's name.

    Raises:
        SpecError: as :func:`render_release`, and GP546 where nothing tells the program its slot.
    """
    made: dict[str, Mapping[str, bytes]] = {}
    for slot, port in zip(SLOTS, service.ports, strict=True):
        words: dict[str, Json] = {**variables, "slot": slot, "port": port}
        made[slot] = render_release(templates, unit, replace(service, slot=slot), words).files
    first, second = made.values()
    units = [replace(service, slot=slot).unit for slot in SLOTS]
    if first[units[0]] == second[units[1]]:
        raise SpecError("GP546", f"{units[0]} and {units[1]} are the same: nothing tells the program its port",
                        hint="name {{ port }} or {{ slot }} in service.args, service.env or the unit",
                        where=Where(units[0]))  # fmt: skip
    files = {units[0]: first[units[0]], units[1]: second[units[1]]}
    for path in first.keys() - {units[0]}:
        if first[path] == second[path]:
            files[path] = first[path]
        else:
            files |= {f"{slot}/{path}": made[slot][path] for slot in SLOTS}
    return Rendered.of(files)


def _check_units(service: Service, units: Mapping[str, str]) -> None:
    for lack in MODES[service.mode].lacks(service, units):
        hint = f"`switch: {service.mode}` needs it: see docs/concepts/switching.md"
        raise SpecError("GP531", lack, hint=hint, where=Where(lack.partition(" ")[0]))


def check_path(path: str) -> str:
    """A path inside a release folder, as it is.

    Raises:
        SpecError: GP406 when the host would not take it.
    """
    parts = PurePosixPath(path).parts
    reserved = parts[:1] == ("bin",) or any(part.startswith((".gopub", "-")) for part in parts)
    if not _PLAIN_PATH.fullmatch(path) or not fits_archive(path) or ".." in parts or "." in path.split("/") or reserved:
        raise SpecError(
            "GP406",
            f"{path!r} cannot be the path of a config file",
            hint="use a relative path of letters, digits and ._@+- outside bin/, its name at most 100 long",
        )
    return path


def _line(what: str, source: str, variables: Mapping[str, Json]) -> str:
    return refuse_control(_text(what, source, variables).decode(), what)


def _variable(name: str, source: str, variables: Mapping[str, Json]) -> str:
    """A variable that is read back; what a template made of it, Go's runtime has to take as well."""
    what = f"service.runtime.{name}"
    text = _line(what, source, variables)
    if found := wrong_go(name, text):
        raise SpecError("GP570", f"`{what}`: {found[0]}", hint=found[1])
    return text


def _text(name: str, source: str, variables: Mapping[str, Json], *, one_line: bool = False) -> bytes:
    try:
        return fill(source, _seal(variables), one_line=one_line).encode()
    except TemplateFault as fault:
        if fault.kind == "control":
            raise control_character("a value in the unit", str(fault)) from fault
        raise fault.told(Where(name, fault.line)) from fault


def _seal(variables: Mapping[str, Json]) -> dict[str, Any]:
    """The variables for a template: what is encrypted is there, and an error as soon as the template uses it."""
    return {name: _sealed(name, value) for name, value in variables.items()}


def _sealed(name: str, value: Json) -> Any:
    if isinstance(value, Vaulted):
        return Encrypted(name, ENCRYPTED)
    if isinstance(value, Mapping):
        return {key: _sealed(f"{name}.{key}", item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(f"{name}[{number}]", item) for number, item in enumerate(value)]
    return value
