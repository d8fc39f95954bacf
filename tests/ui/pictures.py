"""An SVG of ours, read back: its shapes by their class, its words, and whether all of them lie within it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator


def read(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def with_class(markup: str, pattern: str) -> list[ElementTree.Element]:
    return [element for element in read(markup).iter() if re.fullmatch(pattern, element.get("class") or "")]


def texts(markup: str) -> list[str]:
    return [element.text or "" for element in read(markup).iter("text")]


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in element.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def outside(markup: str) -> list[str]:
    """Return what does not lie within the picture, as markup."""
    root = read(markup)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return [
        ElementTree.tostring(element, encoding="unicode")
        for element in root.iter()
        for x, y in _corners(element)
        if not (-0.1 <= x <= width + 0.1 and -0.1 <= y <= height + 0.1)
    ]


def _corners(element: ElementTree.Element) -> Iterator[tuple[float, float]]:
    if element.tag == "rect":
        x, y, width, height = (float(element.attrib[key]) for key in ("x", "y", "width", "height"))
        yield from ((x, y), (x + width, y + height))
    elif element.tag in ("polyline", "polygon"):
        yield from points(element)
    elif element.tag == "circle":
        x, y, radius = (float(element.attrib[key]) for key in ("cx", "cy", "r"))
        yield from ((x - radius, y - radius), (x + radius, y + radius))
    elif element.tag == "text":
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        # A letter of 10.5 pixels is 5.4 wide on average.
        long = 5.4 * len(element.text or "")
        left = {"start": x, "middle": x - long / 2, "end": x - long}[element.attrib["text-anchor"]]
        yield from ((left, y), (left + long, y))
