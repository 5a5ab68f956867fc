"""Webhooks in: receiver.py takes them (before Django), processing.py acts on them (in a worker)."""
