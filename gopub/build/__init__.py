"""From a commit to binaries and archives whose bytes depend on the commit and the toolchain alone."""

from gopub.build.archive import write_archive
from gopub.build.artifact import FileRef, LocalFile
from gopub.build.buildinfo import BuildInfo, parse_build_info
from gopub.build.check import TestReport, unit_tests
from gopub.build.compile import BuildInput, Built, compile_target
from gopub.build.made import MakeInput, make_file
from gopub.build.rooms import Site
from gopub.build.sandbox import Sandbox, find_sandbox
from gopub.build.target import Target, archive_name, binary_name
from gopub.build.toolchain import find_toolchain
from gopub.source.golang import Toolchain

__all__ = [
    "BuildInfo",
    "BuildInput",
    "Built",
    "FileRef",
    "LocalFile",
    "MakeInput",
    "Sandbox",
    "Site",
    "Target",
    "TestReport",
    "Toolchain",
    "archive_name",
    "binary_name",
    "compile_target",
    "find_sandbox",
    "find_toolchain",
    "make_file",
    "parse_build_info",
    "unit_tests",
    "write_archive",
]
