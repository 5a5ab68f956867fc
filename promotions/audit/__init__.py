"""The record of who did what: how rows are written and chained, verified, searched and exported.

`workflow.record` appends; the database seals each row into the chain when its transaction commits and
refuses every later change (docs/adr/0005-audit-chain.md).
"""
