"""Every example runs as downloaded, alone in an empty folder."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from sklearn import datasets
from sklearn.datasets import fetch_file, fetch_openml

import siamese_sklearn
from siamese_sklearn import SiameseEmbedder, make_pairs

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
GALLERY_RUN = ROOT / "docs" / "_ext" / "gallery_run.py"

# As `python script.py`, but with the data and in the reduced form of the documentation.
RUN = """
import importlib.util, pathlib, runpy, sys
script, gallery_run, folder = map(pathlib.Path, sys.argv[1:])
spec = importlib.util.spec_from_file_location("gallery_run", gallery_run)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.provided(folder, reduced=True):
    runpy.run_path(script.name, run_name="__main__")
"""

NAMES = [script.stem for script in SCRIPTS]
every_script = pytest.mark.parametrize("script", SCRIPTS, ids=NAMES)


@pytest.fixture(scope="module")
def gallery_run():
    """The module of the documentation that provides data and the reduced form."""
    spec = importlib.util.spec_from_file_location("gallery_run", GALLERY_RUN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told_to_install(script):
    """Packages that a script tells its reader to install."""
    return re.findall(r"``pip install (\S+)``", script.read_text())


def test_examples_are_found():
    assert "quickstart.py" in [script.name for script in SCRIPTS]
    assert len(SCRIPTS) > 10


@pytest.mark.slow
@every_script
def test_runs_in_an_empty_folder(script, gallery_run, tmp_path, request):
    folder = tmp_path / "no data"
    for fetcher in gallery_run.fetchers(script):
        folder = request.getfixturevalue("data_folder")
        if missing := gallery_run.missing_files(fetcher, folder):
            pytest.skip(f"no {missing[0]} in {folder}")
    for package in told_to_install(script):
        pytest.importorskip(package)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(script, empty)
    environment = os.environ | {
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(siamese_sklearn.__file__).parents[1]),
        "SCIKIT_LEARN_DATA": str(tmp_path / "downloads"),
    }
    command = [sys.executable, "-c", RUN, script, GALLERY_RUN, folder]
    process = {"cwd": empty, "env": environment, "capture_output": True, "text": True}
    run = subprocess.run(command, check=False, **process)
    assert run.returncode == 0, run.stderr
    assert not (tmp_path / "downloads").exists()
    pictures = {"quickstart.png"} if script.stem == "quickstart" else set()
    assert {path.name for path in empty.iterdir()} == {script.name} | pictures


@cache
def distributions():
    """The distributions that provide each package that can be imported."""
    return metadata.packages_distributions()


@every_script
def test_imports_only_what_a_reader_has(script):
    for package in told_to_install(script):
        pytest.importorskip(package)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plot = project["optional-dependencies"]["plot"]
    available = closure([*project["dependencies"], *plot, *told_to_install(script)])
    needed = imported(script) - set(sys.stdlib_module_names) - {"siamese_sklearn"}
    for name in needed:
        providers = set(map(canonicalize_name, distributions().get(name, [])))
        assert providers & available, f"{name} comes with {providers}"


def imported(script):
    """Top-level names of the modules that a script imports."""
    names = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def closure(requirements):
    """Names of the distributions that requirements bring along, directly or not."""
    found, waiting = set(), list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        name, marker = canonicalize_name(requirement.name), requirement.marker
        if name not in found and (marker is None or marker.evaluate({"extra": ""})):
            found.add(name)
            waiting += metadata.requires(name) or []
    return found


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import numpy as np, gallery_data", {"numpy", "gallery_data"}),
        ("from torch.nn import Linear", {"torch"}),
    ],
)
def test_imported_names(code, names, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(code)
    assert imported(script) == names


@every_script
def test_knows_nothing_of_the_documentation(script):
    assert "SIAMESE_SKLEARN_" not in script.read_text()


def test_drawings_come_out_of_an_archive_of_omniglot(tmp_path):
    """The archives hold black ink on white, 105 x 105 pixels of one bit."""
    script = ROOT / "examples" / "plot_omniglot_one_shot.py"
    paper = np.full((105, 105), 255, dtype=np.uint8)
    inked = paper.copy()
    inked[:60] = 0
    drawings = {
        "Latin/character02/0002_01.png": paper,
        "Greek/character01/0001_02.png": paper,
        "Greek/character01/0001_01.png": inked,
    }
    archive = tmp_path / "images_background_small1.zip"
    with ZipFile(archive, "w") as file:
        file.mkdir("images_background_small1")
        for path, pixels in drawings.items():
            with file.open(f"images_background_small1/{path}", "w") as image:
                Image.fromarray(pixels).convert("1").save(image, "png")
    urls = []

    def fetch_file(url):
        urls.append(url)
        return archive

    X, y = function_of(script, "fetch_drawings", fetch_file=fetch_file)("small1")
    assert [url.rpartition("/")[2] for url in urls] == ["images_background_small1.zip"]
    np.testing.assert_array_equal(y, ["Greek/character01"] * 2 + ["Latin/character02"])
    assert X.shape == (3, 28, 28)
    assert X.dtype == np.uint8
    assert (X[0, :12] == 255).all()
    assert (X[0, -8:] == 0).all()
    assert (X[1:] == 0).all()


def function_of(script, name, **replaced):
    """A function of a script, without running the rest of it."""
    statements = [
        node
        for node in ast.parse(script.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.FunctionDef) and node.name == name)
    ]
    namespace = {}
    exec(compile(ast.Module(statements, []), str(script), "exec"), namespace)
    namespace |= replaced
    return namespace[name]


class TestProvided:
    """What the documentation and the tests run scripts with."""

    @pytest.mark.slow
    def test_mnist_comes_as_openml_gives_it(self, gallery_run, data_folder):
        options = {"version": 1, "as_frame": False, "return_X_y": True}
        with gallery_run.provided(data_folder, reduced=False):
            X, y = datasets.fetch_openml("mnist_784", **options)
        assert X.shape == (70_000, 784)
        assert X.dtype == np.int64
        assert (X.min(), X.max()) == (0, 255)
        assert set(y) == set("0123456789")
        with gallery_run.provided(data_folder, reduced=True):
            X_few, y_few = datasets.fetch_openml("mnist_784", **options)
        np.testing.assert_array_equal(X_few, X[::10])
        np.testing.assert_array_equal(y_few, y[::10])

    def test_faces_come_as_scikit_learn_scales_them(self, gallery_run, data_folder):
        with gallery_run.provided(data_folder, reduced=False):
            faces = datasets.fetch_olivetti_faces()
        assert faces.images.shape == (400, 64, 64)
        assert faces.images.dtype == np.float32
        assert (faces.images.min(), faces.images.max()) == (0, 1)
        np.testing.assert_array_equal(faces.data, faces.images.reshape(400, -1))
        np.testing.assert_array_equal(faces.target, np.repeat(np.arange(40), 10))

    @pytest.mark.slow
    def test_omniglot_comes_as_archives(self, gallery_run, data_folder):
        script = ROOT / "examples" / "plot_omniglot_one_shot.py"
        with gallery_run.provided(data_folder, reduced=False):
            X, y = function_of(script, "fetch_drawings")("small1")
        with np.load(data_folder / "omniglot_small1.npz") as data:
            np.testing.assert_array_equal(X, data["X"])
            np.testing.assert_array_equal(y, data["y"])

    def test_training_is_brief_in_reduced_form(self, gallery_run, tmp_path, iris):
        X, y = iris
        with gallery_run.provided(tmp_path, reduced=True):
            embedder = SiameseEmbedder(max_epochs=3).fit(X, y)
            pairs, _ = siamese_sklearn.make_pairs(X, y, n_pairs=5000)
        assert embedder.n_iter_ == 1
        assert embedder.max_epochs == 3
        assert len(pairs) == 1000

    def test_all_is_as_before_afterwards(self, gallery_run, tmp_path):
        fit = SiameseEmbedder.fit
        with gallery_run.provided(tmp_path, reduced=True):
            assert datasets.fetch_openml is not fetch_openml
            assert datasets.fetch_file is fetch_file  # the folder is empty
            assert SiameseEmbedder.fit is not fit
        assert datasets.fetch_openml is fetch_openml
        assert SiameseEmbedder.fit is fit
        assert siamese_sklearn.make_pairs is make_pairs
