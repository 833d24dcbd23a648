"""gopub.yaml: read it, check it, complete it.

A file is read in five steps, each only when the one before left something to work on:

1. text → tree (syntax, limits, keys that stand twice);
2. take out what is not acted on yet, one error each;
3. tree → models (unknown and missing keys, wrong values), one error each;
4. rules that span several keys, one error each;
5. all errors together, in the order of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError

from gopub.errors import ErrorGroup, GopubError, SpecError, Where
from gopub.spec import tree
from gopub.spec.admit import AdmitSpec, SignerNamed
from gopub.spec.admitrules import wrong_admit, wrong_signer
from gopub.spec.base import Model
from gopub.spec.explain import Explainer, at, shown, type_at
from gopub.spec.finding import read_text
from gopub.spec.models import Judge, ReleaseSpec
from gopub.spec.notyet import Found, take_out, within
from gopub.spec.reading import read_tree
from gopub.spec.rules import Problem, judge_problems, problems
from gopub.spec.tree import Node, Path, Scalar, dotted, leaves

DEFAULT = "default"
_JUDGE = "environments.*.judge"
_MOST_ERRORS = 50
_FROM_SIBLINGS = frozenset({"instance", "upstream", "port"})  # see models.fill_from_siblings


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spec and where each of its values comes from."""

    spec: ReleaseSpec
    text: str
    file: str
    root: Node
    origins: Mapping[str, str]
    """``environments.prod.max_load`` → ``gopub.yaml:14:7``, or ``default``."""

    def where(self, path: str) -> Where:
        """The place of a dotted path; of a default, that of its nearest parent in the file."""
        return tree.where(self.root, parse_path(path))


def parse_path(text: str) -> Path:
    """Read ``environments.prod.rollout.steps[2].bake``."""
    parts = text.replace("[", ".").replace("]", "").split(".")
    return tuple(int(part) if part.isdigit() else part for part in parts if part)


def load_spec(path: FilePath) -> Loaded:
    """Read a spec from a file.

    Raises:
        SpecError: what is wrong with the file; several mistakes together as an ErrorGroup.
    """
    return parse_spec(read_text(path), str(path))


def parse_spec(text: str, file: str) -> Loaded:
    """Read a spec from text; ``file`` is the name that errors show.

    Raises:
        SpecError: what is wrong with the text; several mistakes together as an ErrorGroup.
    """
    root = read_tree(text, file)
    data, found = take_out(tree.plain(root))
    errors = [not_yet(hit, root) for hit in found]
    spec: ReleaseSpec | None = None
    try:
        spec = ReleaseSpec.model_validate(data)
    except ValidationError as error:
        errors += explained(error, Explainer(root, ReleaseSpec))
    if spec is not None:
        errors += _broken(root, problems(spec))
    if errors or spec is None:
        raise together(errors)
    return Loaded(spec, text, file, root, dict(_origins(spec, root)))


def load_judge(path: FilePath) -> Judge:
    """Read the ``judge`` part of an environment from a file of its own, with the word ``judge`` above it or without.

    Raises:
        SpecError: what is wrong with the file; several mistakes together as an ErrorGroup.
    """
    root = read_tree(read_text(path), str(path))
    above: Path = ("judge",) if tree.child(root, "judge") is not None else ()
    data, found = take_out(tree.plain(root), within(_JUDGE, above))
    errors = [not_yet(hit, root) for hit in found]
    judge: Judge | None = None
    try:
        judge = Judge.model_validate(data["judge"] if above else data)
    except ValidationError as error:
        errors += explained(error, Explainer(root, Judge, above))
    if judge is not None:
        errors += _broken(root, judge_problems(judge, above))
    if errors or judge is None:
        raise together(errors)
    return judge


def load_admit(path: FilePath) -> AdmitSpec:
    """Read the ``admit`` part of an environment from a file of its own, with the word ``admit`` above it or without.

    Raises:
        SpecError: what is wrong with the file; several mistakes together as an ErrorGroup.
    """
    root = read_tree(read_text(path), str(path))
    above: Path = ("admit",) if tree.child(root, "admit") is not None else ()
    data = tree.plain(root)
    errors: list[SpecError] = []
    admit: AdmitSpec | None = None
    if above:
        others = [key for key in data if key != "admit"]
        errors += [at(root, (key, "[key]"), "GP114", f"`{key}` is not a known key", "admit stands alone in a policy")
                   for key in others]  # fmt: skip
    try:
        admit = AdmitSpec.model_validate(data["admit"] if above else data)
    except ValidationError as error:
        errors += explained(error, Explainer(root, AdmitSpec, above))
    if admit is not None:
        errors += _broken(root, (Problem((*above, *below), *told) for below, *told in wrong_admit(admit)))
    if errors or admit is None:
        raise together(errors)
    return admit


def read_signer(given: Mapping[str, str]) -> SignerNamed:
    """An entry of ``admit.signed`` that was given otherwise than in a file; errors name the key and no place.

    Raises:
        SpecError: what is wrong with it; several mistakes together as an ErrorGroup.
    """
    root = read_tree(json.dumps(dict(given)), "")
    try:
        signer = SignerNamed.model_validate(dict(given))
    except ValidationError as error:
        raise together([_placeless(one) for one in explained(error, Explainer(root, SignerNamed))]) from None
    if wrong := [SpecError(code, text, hint=hint) for _, code, text, hint in wrong_signer(signer)]:
        raise together(wrong)
    return signer


def _placeless(error: SpecError) -> SpecError:
    return SpecError(error.code, error.problem, hint=error.hint)


def _broken(root: Node, found: Iterable[Problem]) -> list[SpecError]:
    return [at(root, p.path, p.code, f"`{dotted(p.path)}`: {p.text}", p.hint) for p in found]


def together(errors: Sequence[GopubError]) -> GopubError:
    """One error, or a group of them in the order of the file."""
    if len(errors) == 1:
        return errors[0]
    return ErrorGroup(sorted(errors, key=_order)[:_MOST_ERRORS])


def _order(error: GopubError) -> tuple[str, int, int]:
    return (error.where.file, error.where.line, error.where.col) if error.where else ("", 0, 0)


def explained(error: ValidationError, explainer: Explainer) -> list[SpecError]:
    """Every error of a model as a SpecError; what only follows from another one is left out."""
    details = error.errors(include_url=False)
    own = [one for one in details if not _follows(one["loc"], explainer.root)]
    return [one for _, one in explainer.explain_all(own or details)]


def _follows(path: Path, root: Node) -> bool:
    return bool(path) and path[-1] in _FROM_SIBLINGS and tree.find(root, path) is None


def not_yet(hit: Found, root: Node) -> SpecError:
    """The error for a key or a value that is read and not acted on."""
    value = f": {hit.value}" if hit.value is not None else ""
    place = tree.where(root, hit.path, key=hit.value is None)
    problem = f"`{shown(hit.path)}{value}` is not acted on yet"
    return SpecError("GP119", problem, hint=hit.instead, where=place)


def _origins(spec: ReleaseSpec, root: Node) -> Iterator[tuple[str, str]]:
    for path, _ in leaves(spec.model_dump(mode="json")):
        place = _stated(root, path)
        yield dotted(path), str(place) if place else DEFAULT


def _stated(root: Node, path: Path) -> Where | None:
    """Where a value was written; a scalar in the place of a mapping stands for the mapping's first key."""
    node: Node = root
    for depth, step in enumerate(path):
        below = tree.child(node, step)
        if below is None and isinstance(node, Scalar) and _is_first(path[:depth], step):
            return node.where
        if below is None:
            return None
        node = below
    return tree.where(root, path)


def _is_first(mapping: Path, key: str | int) -> bool:
    kind = type_at(ReleaseSpec, mapping)
    return isinstance(kind, type) and issubclass(kind, Model) and kind.first_key() == key
