"""Random INI inventories with variable files, for the comparison with ansible-inventory."""
# ruff: noqa: SIM905 - a split text is much shorter than a list here

from __future__ import annotations

import random
from pathlib import Path

_NAMES = ("region", "env", "role", "weight", "tags", "note", "zone", "flag", "a.b", "x_1")
_INI_VALUES = (
    "shanghai|1|-7|3.50|True|False|true|yes|no|None|null|010|0x10|1_000|'quoted text'|\"double quoted\"|[1, 2, 3]|"
    "{'a': 1}|(1, 2)|a=b=c|10.0.0.1|1.2.3|''|a#b|b # c|1 # c|it\\'s|x:y|{{ other }}|1e3|'1'|é|5%|$HOME|-|[11:20]|~"
).split("|")
_YAML_VALUES = (
    "shanghai ; 1 ; -7 ; 3.50 ; true ; yes ; No ; on ; ~ ; null ; 010 ; 0x10 ; 1_000 ; 'quoted' ; [1, two, 3.0] ; "
    "{a: 1, b: [x]} ; 10.0.0.1 ; 1.2.3 ; '' ; a#b ; b # c ; 1:30 ; 1e3 ; 1.5e+3 ; 1.5e3 ; 08 ; 1:30.5 ; 2:70 ; é ; "
    "2026-01-02 ; |\n  two\n  lines ; >-\n  folded\n  text ; !!str 12 ; 0b11 ; .5 ; +1 ; off ; y ; '{{ x }}'"
).split(" ; ")


class Maker:
    """Writes one inventory; the same seed gives the same files."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._random = random.Random(seed)
        self._folder = folder
        self._groups = [f"{word}{self._random.choice(['', '_1', '-x'])}" for word in ("web", "db", "app", "edge", "zz")]
        self._hosts: list[str] = []

    def write(self) -> Path:
        """The inventory's path."""
        sections = [self._lone_hosts(), *(self._host_section(group) for group in self._groups)]
        tail = [*self._children(), *(self._vars_section(group) for group in ["all", *self._groups])]
        self._random.shuffle(tail)
        if self._maybe(0.3):
            sections.append(self._host_section(self._random.choice(self._groups)))
        path = self._folder / "hosts.ini"
        path.write_text("\n".join([*sections, *tail]) + "\n", "utf-8")
        self._variable_files()
        return path

    def _maybe(self, chance: float) -> bool:
        return self._random.random() < chance

    def _pattern(self) -> str:
        kind = self._random.randrange(8)
        low = self._random.randrange(1, 8)
        return (
            f"host{self._random.randrange(12)}",
            f"n[{low}:{low + self._random.randrange(4)}].example.com",
            f"m[0{low}:{low + 10}:3]",
            f"k[{self._random.choice('ab')}:{self._random.choice('cd')}]-[1:2]",
            f"p{self._random.randrange(5)}:22{low:02d}",
            f"10.1.2.{self._random.randrange(9)}",
            f"[2001:db8::{low}]:2200" if self._maybe(0.5) else f"2001:db8::{low}",
            f"q[x:z]_{low}:2022",
        )[kind]

    def _ini_value(self) -> str:
        value = self._random.choice(_INI_VALUES)
        return f'"{value}"' if " " in value and value[0] not in "'\"[{(" else value

    def _host_line(self) -> str:
        known = self._hosts and self._maybe(0.4)
        pattern = self._random.choice(self._hosts) if known else self._pattern()
        self._hosts.append(pattern)
        words = [f"{name}={self._quoted()}" for name in self._random.sample(_NAMES, self._random.randrange(4))]
        if self._maybe(0.2):
            words.append(f"ansible_host=192.0.2.{self._random.randrange(255)}")
        comment = " # a comment" if self._maybe(0.2) else ""
        return "  " * self._maybe(0.1) + " ".join([pattern, *words]) + comment

    def _quoted(self) -> str:
        value = self._ini_value()
        if any(sign in value for sign in " '[{(") and not value.startswith(('"', "'")):
            return '"' + value + '"' if '"' not in value else value
        return value

    def _lone_hosts(self) -> str:
        lines = [self._host_line() for _ in range(self._random.randrange(3))]
        header = self._random.choice(["", "", "[ungrouped]", "[all]"])
        return "\n".join([*([] if not header else [header]), "; first", *lines])

    def _host_section(self, group: str) -> str:
        lines = [self._host_line() for _ in range(self._random.randrange(4))]
        return "\n".join([f"[{group}]" + " # section" * self._maybe(0.2), *lines, ""])

    def _vars_section(self, group: str) -> str:
        if self._maybe(0.4):
            return ""
        names = self._random.sample(_NAMES, self._random.randrange(1, 4))
        lines = [f"{name}{self._random.choice(['=', ' = '])}{self._random.choice(_INI_VALUES)}" for name in names]
        if group != "all" and self._maybe(0.3):
            lines.append(f"ansible_group_priority={self._random.randrange(1, 5)}")
        return "\n".join([f"[{group}:vars]", *lines])

    def _children(self) -> list[str]:
        """Parents of their own, and nesting among them; children come later in the list, so no circle."""
        parents = ["prod", "asia", "top"]
        out = []
        for index, parent in enumerate(parents):
            below = [*parents[index + 1 :], *self._groups]
            children = self._random.sample(below, self._random.randrange(1, 4))
            out.append("\n".join([f"[{parent}:children]", *children]))
        self._groups += parents
        return out

    def _variable_files(self) -> None:
        for group in ["all", "ungrouped", *self._groups]:
            if self._maybe(0.35):
                self._variable_file("group_vars", group)
        for host in sorted({"host1", "host2", "n3.example.com", "10.1.2.3", "ka-1", "2001:db8::3"}):
            if self._maybe(0.5):
                self._variable_file("host_vars", host)

    def _variable_file(self, kind: str, name: str) -> None:
        place = self._folder / kind
        place.mkdir(exist_ok=True)
        if self._maybe(0.25):
            (place / name).mkdir()
            for part in ("10-a.yml", "20-b.yaml", "plain", ".hidden.yml", "old.yml~", "notes.txt"):
                if self._maybe(0.7):
                    (place / name / part).write_text(self._yaml(), "utf-8")
            if self._maybe(0.5):
                (place / f"{name}.yml").write_text("shadowed: by the folder\n", "utf-8")
            return
        extension = self._random.choice(["", ".yml", ".yaml"])
        (place / f"{name}{extension}").write_text(self._yaml(), "utf-8")

    def _yaml(self) -> str:
        if self._maybe(0.1):
            return "---\n# nothing\n"
        names = self._random.sample(_NAMES, self._random.randrange(1, 5))
        return "---\n" + "".join(f"{name}: {self._random.choice(_YAML_VALUES)}\n" for name in names)
