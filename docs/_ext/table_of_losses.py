"""Directive ``table-of-losses``: a row for each loss, from its class and docstring."""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from numpydoc.docscrape import NumpyDocString
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from siamese_sklearn.losses import LOSSES, LossSpec


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.add_directive("table-of-losses", TableOfLosses)
    return {"version": "1", "parallel_read_safe": True}


class TableOfLosses(SphinxDirective):
    """Name and spec of every loss, what it does and takes, and its source."""

    HEAD = ("name, spec", "what it does", "takes", "source")

    def run(self) -> list[nodes.Node]:
        """Write the table as reST, so that the names of the specs become links."""
        options = (":header-rows: 1", ":class: losses", ":widths: 22 36 24 18")
        lines = [".. list-table::", *(f"   {option}" for option in options), ""]
        for row in (self.HEAD, *(_row(name, spec) for name, spec in LOSSES.items())):
            for number, cell in enumerate(row):
                first, *others = cell.split("\n")
                lines.append(("   * - " if number == 0 else "     - ") + first)
                lines += [("       " + line).rstrip() for line in others]
        return self.parse_text_to_nodes("\n".join(lines))


def _row(name: str, spec: type[LossSpec]) -> tuple[str, ...]:
    doc = NumpyDocString(inspect.getdoc(spec) or "")
    summary = " ".join(doc["Summary"]).partition(": ")[2] or " ".join(doc["Summary"])
    return (
        f'``"{name}"``\n\n`~siamese_sklearn.losses.{spec.__name__}`',
        summary[0].upper() + summary[1:],
        "\n\n".join(_takes(spec)),
        _source(doc["References"]),
    )


def _takes(spec: type[LossSpec]) -> list[str]:
    taken = {"distance": spec.distances, "mining": spec.minings}
    lines = [
        f"*{name}* " + ", ".join(f"``{value}``" for value in values)
        for name, values in taken.items()
        if values
    ]
    data = "classes, given pairs, triplets" if spec.takes_tuples else "classes"
    return [*lines, data]


def _source(references: list[str]) -> str:
    """Shorten references to authors and year, as in Hadsell, Chopra & LeCun 2006."""
    entries = re.split(r"\n\s*\n", "\n".join(references).strip())
    return "; ".join(_authors_and_year(" ".join(entry.split())) for entry in entries)


def _authors_and_year(entry: str) -> str:
    authors = entry.partition(', "')[0]
    year = re.findall(r"\b(?:19|20)\d\d\b", entry)[-1]
    names = re.split(r", | & ", authors)
    return f"{authors if len(names) <= 3 else names[0] + ' et al.'} {year}"
