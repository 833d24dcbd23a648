"""Templates in a Jinja2 that cannot reach out, cannot guess and always ends: the same variables give the same text.

Templates come with a signed release, variables from inventories that many people write. So each is filled in by a
child process (``child``) with hard limits of processor time and memory, and with nothing secret in its environment.
Inside it ``jinja`` counts work before it is done: nearly every excess is refused exactly, with its line, and the same
on a fast machine as on a slow one.
"""

from gopub.sandbox.asking import check_syntax, fill
from gopub.sandbox.fault import TemplateFault
from gopub.sandbox.sealed import Encrypted

__all__ = ["Encrypted", "TemplateFault", "check_syntax", "fill"]
