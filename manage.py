#!/usr/bin/env python3
"""The one command of Slipway: `demo`, `up`, `test`, and every Django management command.

This file and what it imports before the virtual environment exists use the standard library only.
It stays readable for old interpreters, so that they can say what is missing.
"""

import os
import shutil
import sys

NEWEST_FIRST = ("python3.13", "python3.12", "python3.11")


def use_supported_python() -> None:
    """Continue under a Python that the pinned packages have wheels for, or say what to install."""
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return
    for name in NEWEST_FIRST:
        found = shutil.which(name)
        if found:
            os.execv(found, [found] + sys.argv)
    version = "%d.%d" % sys.version_info[:2]
    sys.exit("Slipway needs Python 3.11, 3.12 or 3.13; this is Python " + version + ".")


if __name__ == "__main__":
    use_supported_python()
    from promotions.bootstrap.entry import main

    sys.exit(main(sys.argv))
