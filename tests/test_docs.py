"""Every Python block of the README and of the guide pages runs, those of one page in
one namespace.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

import siamese_sklearn
from siamese_sklearn.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = [
    ROOT / "README.md",
    *(
        page
        for folder in ("", "guide", "api")
        for page in sorted((ROOT / "docs" / folder).glob("*.md"))
    ),
]
PUBLIC_MODULES = [
    info
    for info in pkgutil.iter_modules(siamese_sklearn.__path__)
    if not info.name.startswith("_")
]
PAGES = [page for page in WRITTEN if "```python" in page.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run_and_give_what_their_comments_say(page):
    matplotlib.use("Agg")
    blocks = re.findall(
        r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert blocks
    namespace = {"__name__": page.stem}
    for block in blocks:
        for statement in ast.parse(block).body:
            quoted = quoted_number(block, statement)
            if quoted is None:
                exec(compile(ast.Module([statement], []), str(page), "exec"), namespace)
            else:
                value = eval(
                    compile(ast.Expression(statement.value), str(page), "eval"),
                    namespace,
                )
                assert value == pytest.approx(float(quoted), abs=tolerance(quoted)), (
                    ast.unparse(statement)
                )
    plt.close("all")


def quoted_number(block, statement):
    """Return the number that is all of the comment behind an expression."""
    if not isinstance(statement, ast.Expr):
        return None
    line = block.splitlines()[statement.end_lineno - 1]
    comment = re.fullmatch(r"\s*# (-?\d+(?:\.\d+)?)", line[statement.end_col_offset :])
    return comment[1] if comment else None


def tolerance(quoted):
    """Two units of the last digit of a fraction: other machines round otherwise. None
    for a count.
    """
    return 2 * 10 ** -len(quoted.partition(".")[2]) if "." in quoted else 0


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("f(x)  # 0.99", "0.99"),
        ("f(x)  # 7", "7"),
        ("f(x)  # 7 of them", None),
        ("y = 1  # 1", None),
    ],
)
def test_only_a_number_alone_is_quoted(line, number):
    assert quoted_number(line, ast.parse(line).body[0]) == number


def test_readme_lists_the_losses_of_the_registry():
    section = (
        (ROOT / "README.md").read_text().split("\n## Losses\n")[1].split("\n## ")[0]
    )
    rows = re.findall(r'^\| `"(\w+)"`.*? \| `(\w+)` \|', section, flags=re.MULTILINE)
    assert sorted(rows) == sorted(
        (name, spec.__name__) for name, spec in LOSSES.items()
    )


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    prose = re.sub(
        r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_readme_names_exactly_two_commands():
    commands = re.findall(
        r"^```bash\n(.*?)^```$",
        (ROOT / "README.md").read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    assert [len(command.strip().splitlines()) for command in commands] == [1, 1]


def listed(pages):
    """Pairs of a module and a name that the summaries of reference pages list."""
    module = None
    for line in "\n".join(page.read_text() for page in pages).splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split(":: ")[1]
        elif re.fullmatch(r" {3}\w+", line):
            yield module, line.strip()


def test_reference_lists_every_public_name_and_no_other():
    """Functions and classes of the public modules; constants and types are named in the
    text.
    """
    pairs = set(listed(sorted((ROOT / "docs" / "api").glob("*.md"))))
    modules = [
        importlib.import_module(f"siamese_sklearn.{info.name}")
        for info in PUBLIC_MODULES
    ]
    assert modules
    public = {
        (module.__name__, name)
        for module in (siamese_sklearn, *modules)
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
        or inspect.isfunction(getattr(module, name))
    }
    assert sorted({name for _, name in public} - {name for _, name in pairs}) == []
    assert sorted(pairs - public) == []


def test_comparison_counts_the_losses_of_the_registry():
    assert f"| {len(LOSSES)} losses |" in (ROOT / "docs" / "comparison.md").read_text()
