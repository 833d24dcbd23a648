"""``ansible-inventory --list``, many times: most of what one costs is its start, which is the same for all.

    /usr/bin/python3 ansible_warm.py < lines with INVENTORY and OUTPUT, parted by a tab

Ansible's own command runs for each in a process of its own, which is forked once Ansible is imported: nothing of one
inventory is there when the next is read. The exit codes are printed, a line each.
"""

import os
import sys

from ansible.cli.inventory import main


def listed(inventory: str, output: str) -> int:
    """Run the command; gives its exit code."""
    pid = os.fork()
    if not pid:
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        code: object = 1
        try:
            code = main(["ansible-inventory", "-i", inventory, "--list"])
        except SystemExit as end:
            code = end.code
        finally:
            sys.stdout.flush()
            os._exit(int(code or 0) if isinstance(code, (int, type(None))) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


for line in sys.stdin:
    print(listed(*line.rstrip("\n").split("\t")), flush=True)
