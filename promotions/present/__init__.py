"""What pages show: rows as frozen dataclasses, read with few queries. Nothing here depends on who looks.

The one exception is actions.py, which is about exactly that.
"""
