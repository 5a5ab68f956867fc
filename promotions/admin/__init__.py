"""The admin site: people and their roles, tokens; everything else to look at. Found by Django by its name."""

from promotions.admin import catalogue, people, records, tokens

__all__ = ["catalogue", "people", "records", "tokens"]
