"""How Slipway starts: the virtual environment, the embedded PostgreSQL and the processes.

Everything here is standard library, so that it can run before any package is installed.
"""
