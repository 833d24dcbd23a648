"""A commit as a :class:`SourceTree`, and the rules that its Go modules must keep."""

from gopub.source.checkout import checkout, require_clean
from gopub.source.golang import Toolchain
from gopub.source.modfile import Module
from gopub.source.modules import ModuleReport, check_modules
from gopub.source.tree import SourceTree, version_of

__all__ = [
    "Module",
    "ModuleReport",
    "SourceTree",
    "Toolchain",
    "check_modules",
    "checkout",
    "require_clean",
    "version_of",
]
