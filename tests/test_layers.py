"""The package's own source: what imports what, what it leaves alone, and how long it
is.
"""

import ast
import io
import tokenize
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import siamese_sklearn

ROOT = Path(siamese_sklearn.__file__).parent

# From the bottom to the top; a room imports from lower levels and from itself.
LEVELS = [
    ["_checks", "_documentation", "_files", "_typing", "_version"],
    ["_arrays"],
    [
        "_grouping",
        "_labels",
        "_pipelines",
        "augmentation",
        "binary",
        "distances",
        "mining",
    ],
    ["heads", "pairs", "sampling", "search", "towers"],
    ["_net", "_validation", "losses", "metrics"],
    ["calibration"],
    ["_estimators"],
    ["matching"],
    ["export", "persistence", "plotting"],
    ["__init__"],
]
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}

FILES = sorted(ROOT.rglob("*.py"))
IDS = [path.relative_to(ROOT).as_posix() for path in FILES]
each_module = pytest.mark.parametrize("path", FILES, ids=IDS)


def dotted(path):
    """Module name of a file: `siamese_sklearn.losses._pair`; a package has the name of
    its folder.
    """
    parts = ("siamese_sklearn", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in FILES}


def top(module):
    """The part of a module's name that has a level."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def imports(tree):
    """All (module, name) that a syntax tree imports, in functions too; name is None for
    `import module`.
    """
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def own_imports(tree):
    """Modules of the package that a syntax tree imports: `from package import module`
    names the module.
    """
    for module, name in imports(tree):
        if module.split(".")[0] == "siamese_sklearn":
            inner = f"{module}.{name}"
            yield inner if inner in MODULES else module


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def test_all_modules_are_found():
    assert {
        "siamese_sklearn",
        "siamese_sklearn._estimators.base",
        "siamese_sklearn._net._build",
    } <= MODULES.keys()
    assert len(FILES) > 20


@each_module
def test_every_module_has_a_level(path):
    assert top(dotted(path)) in LEVEL_OF, "give the new module a level in LEVELS"


def test_every_level_has_rooms_that_exist():
    assert set(LEVEL_OF) == {top(module) for module in MODULES}


@each_module
def test_imports_go_downwards(path):
    room = top(dotted(path))
    others = {top(module) for module in own_imports(parsed(path))} - {room}
    assert [other for other in others if LEVEL_OF[other] >= LEVEL_OF[room]] == []


def test_imports_have_no_cycle():
    graph = {dotted(path): set(own_imports(parsed(path))) for path in FILES}
    assert graph["siamese_sklearn._estimators.embedder"] > {
        "siamese_sklearn._estimators.holdout",
        "siamese_sklearn.metrics",
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("siamese_sklearn._checks") < order.index("siamese_sklearn")


@each_module
def test_skorch_is_imported_under_net_only(path):
    uses = any(module.split(".")[0] == "skorch" for module, _ in imports(parsed(path)))
    assert not uses or path.parent == ROOT / "_net"


def private_names(tree):
    """What a syntax tree imports of scikit-learn that scikit-learn calls private."""
    for module, name in imports(tree):
        full = module.split(".") + ([name] if name else [])
        if full[0] == "sklearn" and any(part.startswith("_") for part in full):
            yield ".".join(full)


@each_module
def test_private_names_of_sklearn_are_imported_in_validation_only(path):
    uses = list(private_names(parsed(path)))
    assert bool(uses) == (path == ROOT / "_validation" / "data.py"), uses


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            "from sklearn.utils.validation import _check_n_features",
            ["sklearn.utils.validation._check_n_features"],
        ),
        ("from sklearn.utils._tags import Tags", ["sklearn.utils._tags.Tags"]),
        ("def f():\n    import sklearn._loss", ["sklearn._loss"]),
        ("from sklearn.base import clone", []),
    ],
)
def test_private_names_are_recognized(source, found):
    assert list(private_names(ast.parse(source))) == found


SEEDS = {"manual_seed", "manual_seed_all", "set_rng_state", "set_rng_state_all"}
OF_TORCH = {
    *[
        "set_num_threads",
        "set_num_interop_threads",
        "set_default_dtype",
        "set_default_device",
    ],
    *[
        "set_default_tensor_type",
        "set_grad_enabled",
        "set_flush_denormal",
        "set_float32_matmul_precision",
    ],
    *["use_deterministic_algorithms", "set_deterministic_debug_mode"],
}
OF_WARNINGS = {"filterwarnings", "simplefilter", "resetwarnings"}
# all else there is global
OF_NUMPY_RANDOM = {
    "default_rng",
    "Generator",
    "RandomState",
    "SeedSequence",
}


def global_state(tree, may_seed=False):
    """Calls and imports of a syntax tree that would change what belongs to the whole
    process.
    """
    names = [
        ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)
    ]
    names += [f"{module}.{name}" for module, name in imports(tree) if name]
    for name in names:
        *owner, last = name.replace("numpy.", "np.").split(".")
        seeds = last in SEEDS and not may_seed
        of_numpy = owner == ["np", "random"] and last not in OF_NUMPY_RANDOM
        of_random = owner == ["random"]
        if (
            seeds
            or of_numpy
            or of_random
            or last in OF_TORCH | OF_WARNINGS | {"seterr", "putenv"}
        ):
            yield name


@each_module
def test_no_global_state_is_changed(path):
    may_seed = path == ROOT / "_net" / "_device.py"  # inside fork_rng
    assert list(global_state(parsed(path), may_seed)) == []


@pytest.mark.parametrize(
    "source",
    [
        "torch.manual_seed(0)",
        "torch.cuda.manual_seed_all(0)",
        "torch.set_num_threads(1)",
        "torch.set_default_dtype(torch.float64)",
        "np.random.seed(0)",
        "numpy.random.shuffle(x)",
        "random.seed(0)",
        "warnings.simplefilter('ignore')",
        "warnings.filterwarnings('ignore')",
        "from torch import set_num_threads",
        "from numpy.random import seed",
    ],
)
def test_changes_of_global_state_are_recognized(source):
    assert len(list(global_state(ast.parse(source)))) == 1


LAYOUT = {
    *[tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER],
    *[tokenize.INDENT, tokenize.DEDENT],
}


@cache
def lines_of_code(text):
    """Numbers of the lines that hold code: no docstring, no comment alone, no space."""
    lines, readline = set(), io.StringIO(text).readline
    for token in tokenize.generate_tokens(readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        can_have_one = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if can_have_one and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, docstring.end_lineno + 1))
    return lines


def body_lengths(text):
    """Lines of code in the body of each function, by the function's name and line."""
    code = lines_of_code(text)
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    return {
        f"{function.name}, line {function.lineno}": len(
            code.intersection(
                range(function.body[0].lineno, function.body[-1].end_lineno + 1)
            )
        )
        for function in functions
    }


@each_module
def test_modules_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(lines_of_code(text)) <= 450
    lengths = body_lengths(text)
    assert {name: length for name, length in lengths.items() if length > 40} == {}


def test_lines_of_code_leave_docstrings_comments_and_space_out():
    text = '''"""Module."""

import math  # with a comment

# A comment alone.


def f(x):
    """Long

    text."""
    y = (
        1
    )

    def g():
        """Only that."""

    return """not
    a docstring"""
'''
    assert lines_of_code(text) == {3, 8, 12, 13, 14, 16, 19, 20}
    assert body_lengths(text) == {"f, line 8": 6, "g, line 16": 0}
