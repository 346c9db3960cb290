"""The look of the figures: one typographic scale, one palette in a light and a dark scheme, one width.

One drawing serves both schemes and print. The figures are drawn with the light colours, each the colour of
just one role; for HTML they become custom properties with the light colour to fall back on
(`var(--fig-ink, #1b2430)`), which `CSS` sets anew in the dark scheme. Print takes the light colours as they
are, since typst knows no custom properties.
"""

import re
from enum import StrEnum
from typing import Final

from reports.fonts import DEJAVU, NANUM

FAMILIES: Final = f"{NANUM}, '{DEJAVU}', sans-serif"

WIDTH_PX: Final = 336
"""All figures are drawn for the narrowest screen (360 px less its margins) and grow to `MAX_WIDTH_PX`.

Drawn wide and shrunk to a phone, their text would be too small to read. Wide screens and paper set them in
columns, not below 80 mm wide on paper (6.5 pt for the smallest text).
"""
MAX_WIDTH_PX: Final = 430
"""At which the names and values in a figure are as large as the text around it."""


class Size(float):
    """A step of the typographic scale, px at the drawn width."""


SMALL: Final = Size(11)
"""Axes, legends, notes."""
LABEL: Final = Size(12.5)
"""Names and values."""


class Role(StrEnum):
    """What a colour stands for; the value ends its custom property's name."""

    INK = "ink"
    MUTED = "muted"
    GRID = "grid"
    AXIS = "axis"
    SURFACE = "surface"
    MAIN = "main"
    MAIN_TINT = "main-tint"
    CONTRAST = "contrast"
    FIT = "fit"
    FIT_TINT = "fit-tint"
    HEAT_0 = "heat-0"
    HEAT_1 = "heat-1"
    HEAT_2 = "heat-2"
    HEAT_3 = "heat-3"
    HEAT_4 = "heat-4"
    ON_WEAK = "on-weak"
    ON_STRONG = "on-strong"


# Blue, vermillion and bluish green of Okabe & Ito (2008), told apart by every kind of colour vision, each
# darkened (light scheme) or lightened (dark scheme) until text in it has a contrast of 4.5 to the surface.
LIGHT: Final = {
    Role.INK: "#1b2430",
    Role.MUTED: "#566072",
    Role.GRID: "#dde2e9",
    Role.AXIS: "#7d8797",
    Role.SURFACE: "#ffffff",
    Role.MAIN: "#0072b2",
    Role.MAIN_TINT: "#cfe4f2",
    Role.CONTRAST: "#b84a00",
    Role.FIT: "#007a5c",
    Role.FIT_TINT: "#cdeee2",
    Role.HEAT_0: "#f0f3f7",
    Role.HEAT_1: "#d3e5f3",
    Role.HEAT_2: "#a3cbe8",
    Role.HEAT_3: "#1f72b0",
    Role.HEAT_4: "#0b4a7d",
    Role.ON_WEAK: "#1b2431",
    Role.ON_STRONG: "#fffffe",
}
DARK: Final = {
    Role.INK: "#e8ecf1",
    Role.MUTED: "#a9b4c2",
    Role.GRID: "#333b47",
    Role.AXIS: "#7f8a9a",
    Role.SURFACE: "#14181f",
    Role.MAIN: "#56b4e9",
    Role.MAIN_TINT: "#17394f",
    Role.CONTRAST: "#f2945c",
    Role.FIT: "#3cc79d",
    Role.FIT_TINT: "#113e31",
    Role.HEAT_0: "#1f252e",
    Role.HEAT_1: "#173a55",
    Role.HEAT_2: "#1d5a87",
    Role.HEAT_3: "#56b4e8",
    Role.HEAT_4: "#a5d8f5",
    Role.ON_WEAK: "#e8ecf2",
    Role.ON_STRONG: "#0b1016",
}
HEAT: Final = (Role.HEAT_0, Role.HEAT_1, Role.HEAT_2, Role.HEAT_3, Role.HEAT_4)
STRONG_HEAT: Final = frozenset({Role.HEAT_3, Role.HEAT_4})
"""Fields of these carry `ON_STRONG` text, the others `ON_WEAK`."""

_ROLE_OF = {colour: role for role, colour in LIGHT.items()}
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def _properties(scheme: dict[Role, str]) -> str:
    return "".join(f"--fig-{role}:{colour};" for role, colour in scheme.items())


CSS: Final = (
    f":root{{{_properties(LIGHT)}}}"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_properties(DARK)}}}}}"
    f".figure{{display:block;width:100%;max-width:{MAX_WIDTH_PX}px;height:auto}}"
)
"""For the page's head. The page's ground is `--fig-surface`; contrasts hold on it."""


def themed(style: str) -> str:
    """Return a style attribute with its colours as custom properties."""
    return _COLOUR.sub(lambda found: f"var(--fig-{_ROLE_OF[found[0]]}, {found[0]})", style)
