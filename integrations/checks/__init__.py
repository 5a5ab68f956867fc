"""Outside checks: ask a URL with a signed request, in the manner of Standard Webhooks."""

from integrations.checks.client import Answer, CheckClient, signature

__all__ = ["Answer", "CheckClient", "signature"]
