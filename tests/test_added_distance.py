"""A new distance is one class and one line; all that takes distances takes it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import siamese_sklearn

CHEBYSHEV = '''
class Chebyshev(Distance):
    """Largest absolute difference of the components."""

    name = "chebyshev"
    sklearn_metric = "chebyshev"

    def paired(self, left, right):
        return (left - right).abs().amax(dim=-1)

    def pairwise(self, left, right=None):
        right = left if right is None else right
        return (left[:, None] - right[None]).abs().amax(dim=-1)

    def farthest(self, n_components):
        return 2.0


'''
TABLE = "DISTANCES: dict[str, Distance] = {"
LAST = "Cosine())"


@pytest.fixture
def copied(tmp_path):
    """Folder with a copy of the package that has the class and its line."""
    package = tmp_path / "siamese_sklearn"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(siamese_sklearn.__file__).parent, package, ignore=ignored)
    module = package / "distances.py"
    text = module.read_text(encoding="utf-8")
    assert text.count(TABLE) == text.count(LAST) == 1
    text = text.replace(TABLE, CHEBYSHEV.lstrip() + TABLE)
    module.write_text(text.replace(LAST, "Cosine(), Chebyshev())"), encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_one_class_and_one_line_are_enough(copied):
    script = Path(__file__).with_name("added_distance.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", script, copied],
        env={**os.environ, "PYTHONPATH": str(copied)},
        cwd=copied,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "as scipy says"), done.stderr
