"""A release on one page: what it is, who signed it, its files, and what is stated about each of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gopub.build.artifact import FileRef
from gopub.release.model import Release, TargetFiles
from gopub.store.keys import manifest_key
from gopub.views.pages import TextPage, named_key, shown, table

_STATED = {
    "archive": "signature of the archive",
    "binary": "signature of the program",
    "provenance": "provenance (SLSA): commit, builder, parameters, modules",
}


def release_key(app: str) -> str:
    """The key under which the pages of an app's releases are one history."""
    return named_key(f"{app}-release")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the signature says: the fingerprint of the key or certificate, and whom a certificate names."""

    fingerprint: str
    name: str = ""

    @property
    def says(self) -> str:
        """Whose signature it is."""
        if self.name:
            return f"a certificate for `{_plain(self.name)}` (`{self.fingerprint[:16]}`)"
        return f"the key `{self.fingerprint[:16]}`"

    @property
    def check(self) -> str:
        """What whoever checks it has to say beside the release."""
        return "--identity WHO --issuer WHOSE-WORD --trust CONNECTION" if self.name else "--key FILE"


def release_page(release: Release, signer: Signer, rollouts: Mapping[str, str] | None = None) -> TextPage:
    """The page; ``rollouts`` are the addresses of the rollouts' pages by their environments, where there are any."""
    at = datetime.fromtimestamp(release.created, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    enters = f"It enters {_listed(sorted(release.environments))}." if release.environments else "It enters nowhere."
    check = f"gopub verify {release.release_id[:16]} --app {release.app} {signer.check}"
    links = [f"[{shown(env)}]({where})" for env, where in sorted((rollouts or {}).items())]
    parts = [
        f"## {shown(release.app)} {shown(release.version)}",
        f"Built from commit `{release.commit}` of {shown(release.repository)}, finished at {at}.",
        f"Every file, the provenance and release.json bear the signature of {signer.says}.",
        table(("target", "what", "file", "size"), [row for row, _ in _files(release)]),
        _digests(release),
        f"In the store: `{manifest_key(release.release_id)}`, which names all of them. {enters}",
        f"To check all of it, offline, by {'whom you trust' if signer.name else 'a key of your own choice'}: `{check}`",
        *([f"Its rollouts, and those before: {', '.join(links)}"] if links else []),
    ]
    told = f"{release.app} {release.version}: {release.release_id}"
    return TextPage(release_key(release.app), told, "\n\n".join(parts) + "\n")


def _files(release: Release) -> Iterator[tuple[tuple[str, ...], FileRef]]:
    for target, files in sorted(release.targets.items()):
        for what, file in _of(files):
            yield (target, what, file.name, _size(file.size)), file


def _digests(release: Release) -> str:
    """What each file is known by, to be copied: a column of a table is cut off at the page's edge."""
    lines = [f"{file.digest}  {_plain(row[0])}  {_plain(file.name)}" for row, file in _files(release)]
    return "\n".join(["SHA-256, target and file:", "", "```text", *lines, "```"])


def _plain(text: str) -> str:
    """Within code nothing is escaped: what would end it, or a line, is left out."""
    return "".join(char for char in text if char.isprintable() and char != "`")


def _of(files: TargetFiles) -> Iterator[tuple[str, FileRef]]:
    yield "archive", files.archive
    yield "program", files.binary
    for kind, file in sorted(files.sboms.items()):
        yield f"SBOM ({kind})", file
    for about, file in sorted(files.evidence.items()):
        yield _STATED.get(about) or f"signature of the SBOM ({about.removeprefix('sbom-')})", file


def _size(count: int) -> str:
    """Of a file, in the unit that is read at a glance."""
    for unit, worth in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= worth:
            return f"{count / worth:.1f} {unit}"
    return f"{count} bytes"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names))
