"""The page and the API with which somebody plays the other parts."""

from integrations.sandbox.control.app import Control

__all__ = ["Control"]
