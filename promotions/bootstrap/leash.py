"""Run a program that dies with its parent, and under another account where root may not run it.

Used as a script: `python -I -S leash.py PARENT SIGNAL UID:GID|- COMMAND...`. It replaces itself by
the command, so the process id stays the one that the parent knows.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION_3 = 0x20080522


def main(argv: list[str]) -> None:
    parent, signal_name, account, *command = argv
    if account != "-":
        uid, _, gid = account.partition(":")
        change_account(int(uid), int(gid))
    # Changing the account clears the death signal, so it is set after that (prctl(2)).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.Signals[signal_name].value, 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the process that asked for this one is gone")
    os.execvp(command[0], command)


def change_account(uid: int, gid: int) -> None:
    """Become the account, keeping only the right to pass through folders that are root's alone.

    A clone under /root is closed to other accounts. Opening those folders for everybody would be
    a change nobody asked for; a capability that ends with the process is not.
    """
    keep = sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if keep:
        # Containers often hold only the second of the two; without either, permissions decide.
        any(keep_capability(number) for number in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE))


def keep_capability(number: int) -> bool:
    """Reduce this process to one capability that also survives exec; whether that worked."""
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << number
    # Two rows of (effective, permitted, inheritable): capabilities 0 to 31, then the rest.
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        return False
    return bool(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) == 0)


if __name__ == "__main__":
    main(sys.argv[1:])
