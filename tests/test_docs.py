"""Every Python block of the README and the pages runs, those of one page together."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import matplotlib
import matplotlib.pyplot as plt
import pytest
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

import siamese_sklearn
from siamese_sklearn import PairTransformer, SiameseEmbedder
from siamese_sklearn.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
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
# ```python shows code, ```{code-cell} python also its output. The options of a cell are
# lines of ":name: value", or YAML between two lines of three hyphens.
BLOCK = re.compile(
    r"^```(?:python|\{code-cell\} python)\n"
    r"(?:---\n.*?^---\n|(?::[^\n]*\n)+)?(.*?)^```$",
    flags=re.MULTILINE | re.DOTALL,
)
QUOTED_BLOCK = re.compile(r"^````.*?^````$", flags=re.MULTILINE | re.DOTALL)


def code_blocks(page):
    """Code of all blocks of a page, in order."""
    return BLOCK.findall(QUOTED_BLOCK.sub("", page.read_text()))


PAGES = [page for page in WRITTEN if code_blocks(page)]
WITH_CELLS = [
    page for page in PAGES if page.read_text().startswith("---\nfile_format: mystnb")
]


# What pages import beyond the extra "test"
NEEDED = {"saving.md": ("onnxruntime", "onnxscript")}


@pytest.mark.slow
@pytest.mark.filterwarnings(  # of torch 2.13 in its own code, as of November 2026
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"
)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run_and_give_what_their_comments_say(page, tmp_path, monkeypatch):
    for module in NEEDED.get(page.name, ()):
        pytest.importorskip(module)
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)  # as the pages are built: they may write files
    namespace = {"__name__": page.stem}
    for block in code_blocks(page):
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


def test_code_cells_are_formatted(tmp_path):
    """The formatter reads ```python blocks only, so it is given a copy of the pages."""
    assert WITH_CELLS
    for page in WITH_CELLS:
        copy = "\n\n".join(f"```python\n{block}```" for block in code_blocks(page))
        (tmp_path / page.name).write_text(copy + "\n")
    config = f"--config={ROOT / 'pyproject.toml'}"
    command = [sys.executable, "-m", "ruff", "format", "--diff", config, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("```python\nf(x)\n```\n", "f(x)\n"),
        ("```{code-cell} python\nf(x)\n```\n", "f(x)\n"),
        ("```{code-cell} python\n:tags: [hide-input]\n\nf(x)\n```\n", "\nf(x)\n"),
        ("```{code-cell} python\n---\ntags: []\n---\nf(x)\n```\n", "f(x)\n"),
    ],
)
def test_options_of_a_cell_are_no_code(block, code):
    assert BLOCK.findall(block) == [code]


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


def texts_of_the_package():
    """Texts that the package's source holds, with ... for what an f-string fills in."""
    for path in Path(siamese_sklearn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                yield "".join(p if isinstance(p, str) else "..." for p in parts)


def test_troubleshooting_quotes_messages_as_the_package_gives_them():
    page = (ROOT / "docs" / "guide" / "troubleshooting.md").read_text()
    cells = re.findall(r"^\| (`.*?`+) \|", page, flags=re.MULTILINE)
    quoted = [cell.strip("` ") if "``" not in cell else cell[3:-3] for cell in cells]
    assert "`y` has a single class" in quoted
    texts = list(texts_of_the_package())
    unknown = [each for each in quoted if not any(each in text for text in texts)]
    assert unknown == ["Can't pickle <function <lambda>"]  # Python's


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    prose = re.sub(
        r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL
    )
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def benchmark(row):
    """Cells of the first row of the benchmarks that begins with this one."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    line = re.search(rf"^\| {re.escape(row)} \|(.*)\|$", page, flags=re.MULTILINE)[1]
    return [cell.strip() for cell in line.split("|")]


def test_figures_of_the_first_screen_are_those_of_the_benchmarks():
    digits = benchmark("digits")
    ours, theirs = (100 * float(digits[column]) for column in (0, 2))
    readme = (ROOT / "README.md").read_text()
    assert f"| {ours:.1f}% correct | scikit-learn's NCA: {theirs:.1f}% |" in readme
    ours, theirs = (
        100 * float(benchmark(row)[0])
        for row in ("SiamesePairClassifier", "recordlinkage, all fields")
    )
    rival = "recordlinkage, logistic regression"
    assert f"| F1 {ours:.1f}% | {rival}: {theirs:.1f}% |" in readme
    _, ours, theirs, *_ = benchmark("triplet, every")
    rival = "pytorch-metric-learning"
    assert f"| {float(ours):.1f} ms | {rival}: {float(theirs):.0f} ms |" in readme


def test_readme_names_exactly_two_commands():
    commands = re.findall(
        r"^```bash\n(.*?)^```$",
        (ROOT / "README.md").read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    assert [len(command.strip().splitlines()) for command in commands] == [1, 1]


def listed_in_reference():
    """(module, name) of everything that has a page in the reference."""
    module = None
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        for line in page.read_text().splitlines():
            if found := re.fullmatch(r"\.\. (?:current)?module:: (\S+)", line):
                module = found[1]
            elif re.fullmatch(r"   \w+", line):
                yield module, line.strip()


def test_reference_lists_every_public_name():
    """Functions and classes of the public modules; text names constants and types."""
    names = [f"siamese_sklearn.{info.name}" for info in PUBLIC_MODULES]
    assert names
    modules = [siamese_sklearn, *map(importlib.import_module, names)]
    public = {
        name
        for module in modules
        for name in module.__all__
        if isinstance(getattr(module, name), type | FunctionType)
    }
    assert sorted(public - {name for _, name in listed_in_reference()}) == []


def test_reference_lists_only_what_exists():
    missing = []
    for module, name in listed_in_reference():
        if not hasattr(importlib.import_module(module), name):
            missing.append(f"{module}.{name}")
    assert missing == []


def estimators():
    """One instance of each estimator in the reference, with the name of its page."""
    for module, name in listed_in_reference():
        kind = getattr(importlib.import_module(module), name)
        if (
            isinstance(kind, type)
            and issubclass(kind, BaseEstimator)
            and not inspect.isabstract(kind)
        ):
            given = [StandardScaler()] if kind is PairTransformer else []
            yield pytest.param(kind(*given), f"{module}.{name}.html", id=name)


def test_estimators_of_the_reference_are_found():
    found = {parameter.id for parameter in estimators()}
    assert found > {"MLPTower", "PairTransformer", "SiameseEmbedder", "TripletLoss"}


@pytest.mark.parametrize(("estimator", "page"), estimators())
def test_html_view_of_an_estimator_links_to_its_page(estimator, page):
    """Autosummary names a page after the module and name that the reference lists."""
    site = "https://siamese-sklearn.readthedocs.io/page"  # of the default version
    assert f'href="{site}/api/generated/{page}"' in estimator._repr_html_()


def test_html_view_of_a_subclass_from_elsewhere_has_no_link():
    class Own(SiameseEmbedder):
        pass

    assert "readthedocs" not in Own()._repr_html_()


def test_every_script_of_the_gallery_has_a_thumbnail():
    thumbnails = (ROOT / "docs" / "_static" / "thumbnails").glob("*.png")
    scripts = [script.stem for script in (ROOT / "examples").glob("plot_*.py")]
    assert sorted(scripts) == sorted(thumbnail.stem for thumbnail in thumbnails)


def test_linked_names_of_other_projects_exist():
    """Their pages cannot be opened here, but what they are about can be imported."""
    inventories = sorted((ROOT / "docs" / "inventories").glob("*.txt"))
    assert inventories
    importlib.import_module("sklearn.experimental.enable_halving_search_cv")
    for inventory in inventories:
        version, _, _, *lines = inventory.read_text().splitlines()
        assert version == "# Sphinx inventory version 1"  # its body is plain text
        names = [line.split()[0] for line in lines]
        assert names == sorted(set(names))
        for name in names:
            pkgutil.resolve_name(name)


def test_comparison_counts_the_losses_of_the_registry():
    assert f"| {len(LOSSES)} losses |" in (ROOT / "docs" / "comparison.md").read_text()
