"""`manage.py verify_audit`: is the audit trail what was written?"""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promotions.audit.verify import verify

_MOST_TOLD = 50


class Command(BaseCommand):
    help = "Verify the hash chain of the audit entries; say where it was tampered with."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--head", default="", help="a hash noted earlier and elsewhere, which must still be in the chain"
        )

    def handle(self, *, head: str, **options: Any) -> None:
        result = verify(head.strip().lower())
        for finding in result.findings[:_MOST_TOLD]:
            self.stdout.write(str(finding))
        if result.findings:
            raise CommandError(f"{len(result.findings)} findings in {result.count} entries.")
        self.stdout.write(
            f"{result.count} entries are as they were written; head {result.number} {result.head}"
        )
