"""A commit as a :class:`SourceTree`, and the rules that its Go modules must keep."""

from gopub.source.checkout import checkout, require_clean, settle_version_tag
from gopub.source.golang import Toolchain
from gopub.source.modfile import Module
from gopub.source.modules import ModuleReport, check_modules, module_root
from gopub.source.tree import SourceTree, version_of

__all__ = [
    "Module",
    "ModuleReport",
    "SourceTree",
    "Toolchain",
    "check_modules",
    "checkout",
    "module_root",
    "require_clean",
    "settle_version_tag",
    "version_of",
]
