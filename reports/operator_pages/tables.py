"""Tables of thousands of rows, as HTML that the document takes as it is.

pandoc reads a markdown table of 10,000 rows in 8 s; a raw block costs it nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from markupsafe import Markup, escape

from reports.markdown import Markdown, name

Cell = str | Markup
"""A text is escaped; what is markup already is taken as it is."""


class Kind(StrEnum):
    """What a column holds; the value is the class of its cells."""

    WORD = ""
    NUMBER = "n"
    TEXT = "t"


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title and what is in it."""

    title: str
    kind: Kind = Kind.WORD


@dataclass(frozen=True, slots=True)
class Group:
    """Rows below one summary, folded until somebody asks for them unless they are open."""

    summary: str
    rows: Sequence[Sequence[Cell]]
    is_open: bool = False


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Markdown:
    """Return a table that scrolls by itself where it is wider than the page."""
    return _raw(_scrolling(caption, columns, rows))


def folded_tables(caption: str, columns: Sequence[Column], groups: Iterable[Group]) -> Markdown:
    """Return a folded table for each group."""
    return _raw(
        Markup("\n").join(
            Markup("<details{}><summary>{}</summary>\n{}\n</details>").format(
                " open" if group.is_open else "",
                name(group.summary),
                _scrolling(f"{caption}: {group.summary}", columns, group.rows),
            )
            for group in groups
        )
    )


def link(address: str, text: str) -> Markup:
    """Return a link to a relative address, which is quoted here."""
    return Markup('<a href="{}">{}</a>').format(quote(address), name(text))


def listed(entries: Sequence[Markup]) -> Markdown:
    """Return a list of entries, each with its own <li>."""
    return _raw(Markup("<ul>{}</ul>").format(Markup().join(entries)))


def _scrolling(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Markup:
    head = Markup().join(
        Markup('<th scope="col"{}>{}</th>').format(_class(column), column.title) for column in columns
    )
    # Whole lines by one pattern: cell by cell, ten thousand learners take seconds.
    line = "<tr>" + "".join(
        '<th scope="row">%s</th>' if at == 0 else f"<td{_class(column)}>%s</td>"
        for at, column in enumerate(columns)
    )
    body = "\n".join(f"{line}</tr>" % tuple(map(_shown, row)) for row in rows)
    return Markup(
        '<div class="scroll" role="region" tabindex="0" aria-label="{0}"><table>\n<caption>{0}</caption>\n'
        "<thead><tr>{1}</tr></thead>\n<tbody>\n{2}\n</tbody></table></div>"
    ).format(name(caption), head, Markup(body))  # noqa: S704 (every cell was escaped just here)


def _shown(cell: Cell) -> Markup:
    return cell if isinstance(cell, Markup) else escape(name(cell))


def _class(column: Column) -> Markup:
    return Markup(' class="{}"').format(column.kind) if column.kind else Markup()


def _raw(html: Markup) -> Markdown:
    """Return HTML as a raw block; no line of it is a fence, since each begins with a tag of ours."""
    return Markdown("```{=html}\n" + html + "\n```")
