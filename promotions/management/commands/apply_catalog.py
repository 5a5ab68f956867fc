"""`manage.py apply_catalog FILE`: make the catalogue what the file says."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promotions.catalogue import Catalogue, CatalogueError, apply, make_plan, read_catalogue
from promotions.catalogue.report import lines, summary


class Command(BaseCommand):
    help = "Make the catalogue what a file says: connections, environments, applications, stages, roles."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the catalogue file (docs/catalogue.md)")
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also remove what has versions, runs or deliveries; never what promotions refer to",
        )

    def handle(self, *, file: Path, dry_run: bool, prune: bool, **options: Any) -> None:
        try:
            catalogue = self.read(file)
            plan = make_plan(catalogue, prune=prune) if dry_run else apply(catalogue, prune=prune)
        except CatalogueError as error:
            count = len(error.problems)
            ending = f"{count} {'mistake' if count == 1 else 'mistakes'}; nothing was changed."
            raise CommandError(f"{error}\n{ending}") from error
        for line in lines(plan):
            self.stdout.write(line)
        self.stdout.write(summary(plan, dry_run=dry_run))

    def read(self, file: Path) -> Catalogue:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not UTF-8: byte {error.start} is wrong.") from error
        return read_catalogue(text, file=str(file))
