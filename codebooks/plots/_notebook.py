"""Figures and axes that notebooks display without pyplot."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["NotebookAxes", "NotebookFigure", "make_axes"]


class NotebookFigure(Figure):
    """A figure that a notebook displays as PNG. Without pyplot, IPython has no display for a plain Figure."""

    def _repr_png_(self) -> bytes:
        return _render_png(self)


class NotebookAxes(Axes):
    """Axes that a notebook displays as a PNG of their figure."""

    def _repr_png_(self) -> bytes:
        return _render_png(self.figure)


def make_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of this size in inches."""
    return NotebookFigure(figsize=(width, height), layout="constrained").add_subplot(axes_class=NotebookAxes)


def _render_png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
