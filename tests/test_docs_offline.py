"""The documentation builds on a machine that has neither the data nor a network.

Needs the extra "docs". The builds leave out the cells of the guide, which need no data.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx_gallery")

ROOT = Path(__file__).resolve().parents[1]

# Python runs this module at its start. Loopback stays open for processes of the build.
WITHOUT_NETWORK = """
import socket

connect, resolve = socket.socket.connect, socket.getaddrinfo

def connect_here(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
        raise OSError("this machine has no network")
    return connect(self, address)

def resolve_here(host, *args, **options):
    if host not in (None, "localhost", "127.0.0.1", "::1"):
        raise socket.gaierror("this machine has no network")
    return resolve(host, *args, **options)

socket.socket.connect, socket.getaddrinfo = connect_here, resolve_here
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Function that runs a module of Python in a checkout without data and network."""
    folder = tmp_path_factory.mktemp("offline")
    built = ("_build", "auto_examples", "generated", "backreferences")
    ignore = shutil.ignore_patterns(*built)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=ignore)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for page in ROOT.glob("*.md"):  # which pages of docs include
        shutil.copy(page, folder)
    (folder / "data").mkdir()
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(WITHOUT_NETWORK)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]),
        "SCIKIT_LEARN_DATA": str(folder / "data"),
        "SIAMESE_SKLEARN_DATA": str(folder / "data"),
        "SIAMESE_SKLEARN_REDUCED": "1",
    }

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


def test_network_is_out_of_reach(offline):
    code = "from urllib.request import urlopen; urlopen('https://scikit-learn.org')"
    assert "this machine has no network" in offline("-c", code).stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [["-Dplot_gallery=0"], []], ids=["shown", "run"])
def test_documentation_builds(offline, options):
    """Once with the gallery as it is shown only, once with the scripts that can run."""
    without_cells = ["-Dnb_execution_mode=off", "-Dsuppress_warnings=myst-nb.lexer"]
    command = ["-m", "sphinx", "-W", "--keep-going", "-E", "-b", "dummy"]
    result = offline(*command, *without_cells, *options, "docs", "built")
    assert result.returncode == 0, result.stdout
    assert "plot_face_verification.py is shown without being run" in result.stdout
