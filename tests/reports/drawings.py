"""What a drawing holds: its texts, and the outlines of what was drawn in a look."""

import re
from xml.etree import ElementTree

import numpy as np

from reports.figures import Figure

SVG = "{http://www.w3.org/2000/svg}"


def only(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 (our own drawing)


def words(figure: Figure, markup: str = "svg") -> list[str]:
    return [text.text or "" for text in parsed(getattr(figure, markup)).iter(f"{SVG}text")]


def outlines(figure: Figure, name: str) -> list[np.ndarray]:
    """The corner points of what was drawn in a look, outline by outline."""
    paths = [
        path.get("d") or ""
        for group in parsed(figure.svg).iter(f"{SVG}g")
        if group.get("class") == name
        for path in group.iter(f"{SVG}path")
    ]
    parts = [part for path in paths for part in path.split("M")[1:]]
    return [np.array(re.findall(r"-?\d+(?:\.\d+)?", part), dtype=float).reshape(-1, 2) for part in parts]


def middles(figure: Figure, name: str) -> np.ndarray:
    return np.array([(part.min(axis=0) + part.max(axis=0)) / 2 for part in outlines(figure, name)])
