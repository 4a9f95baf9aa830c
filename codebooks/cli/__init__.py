"""The command line: text in; topics, a figure and a model out, or what a search finds."""

from codebooks.cli.app import main

__all__ = ["main"]
