"""The vendors' HTTP APIs on loopback, over real bare Git repositories: for the demo and for tests.

A simulator of *their* behaviour, error codes, races and delays included. It knows nothing of Slipway
and imports none of the adapters: when it and the reference disagree, the sandbox is wrong.
"""
