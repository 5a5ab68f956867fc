"""The catalogue file: read with line numbers, compared with the database, applied as one transaction."""

from promotions.catalogue.applying import apply
from promotions.catalogue.planning import Plan, make_plan
from promotions.catalogue.problems import CatalogueError, Problem
from promotions.catalogue.rows import Catalogue
from promotions.catalogue.schema import read_catalogue

__all__ = ["Catalogue", "CatalogueError", "Plan", "Problem", "apply", "make_plan", "read_catalogue"]
