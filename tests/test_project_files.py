"""The files around the package agree with it and with each other."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import siamese_sklearn

ROOT = Path(__file__).resolve().parents[1]
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOLS = METADATA["project"], METADATA["tool"]

# Under which names packages are imported, where it is not their own.
IMPORTED_AS = {"scikit-learn": "sklearn"}

# Extras whose packages the tests import; linters are not run with the lowest versions.
TESTED_EXTRAS = ["plot", "metric-learning", "test"]
NOT_TESTED = {"mypy", "pandas-stubs", "ruff"}
LEFT_TO_THE_CALLER = {"torch"}  # its older wheels are gigabytes

# Which package a repository of hooks installs, where it is not its namesake.
INSTALLS = {"ruff-pre-commit": "ruff"}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def read_yaml(name):
    return yaml.safe_load(read(name))


def pins(name):
    """Version by package of a file of constraints; each line pins one."""
    lines = [line.partition("#")[0].strip() for line in read(name).splitlines()]
    pinned = dict(line.split("==") for line in lines if line)
    return {canonicalize_name(package): version for package, version in pinned.items()}


def requirements(*extras):
    """Requirements of the package and of extras, by package."""
    texts = list(PROJECT["dependencies"])
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


def lowest(requirement):
    """Version that a requirement of the form `package>=version` starts from."""
    (specifier,) = requirement.specifier
    assert specifier.operator == ">=", requirement
    return Version(specifier.version)


def commands(job):
    """Shell commands of a job of the workflow, each on one line."""
    return [step["run"].strip() for step in job["steps"] if "run" in step]


@pytest.fixture(scope="module")
def jobs():
    return read_yaml(".github/workflows/ci.yml")["jobs"]


class TestDependencies:
    def test_every_imported_package_is_declared(self):
        imported = set()
        for path in Path(siamese_sklearn.__file__).parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.split(".")[0])
        foreign = imported - sys.stdlib_module_names - {"siamese_sklearn"}
        needed = {IMPORTED_AS.get(name, name) for name in requirements()}
        assert needed <= foreign
        # in functions, for the extras "plot" and "search"
        assert foreign - needed == {"matplotlib", "usearch"}

    def test_lowest_versions_are_those_of_the_metadata(self):
        pinned = pins("constraints-lowest.txt")
        required = requirements(*TESTED_EXTRAS)
        tested = set(required) - NOT_TESTED - LEFT_TO_THE_CALLER
        assert {name: Version(pinned[name]) for name in tested} == {
            name: lowest(required[name]) for name in tested
        }

    def test_lowest_torch_is_tested(self, jobs):
        install, _ = commands(jobs["lowest"])
        version = re.search(r" torch==(\S+) ", install)[1]
        assert Version(version) == lowest(requirements()["torch"])
        assert f"`torch=={version}`" in read("CONTRIBUTING.md")

    def test_constraints_satisfy_the_metadata(self):
        pinned = pins("constraints.txt")
        for name, required in requirements(*PROJECT["optional-dependencies"]).items():
            assert required.specifier.contains(pinned[name]), required

    def test_pre_commit_runs_the_versions_of_the_constraints(self):
        hooks = {
            repo["repo"].rpartition("/")[2]: repo["rev"].removeprefix("v")
            for repo in read_yaml(".pre-commit-config.yaml")["repos"]
            if repo["repo"] != "local"
        }
        pinned = pins("constraints.txt")
        assert hooks == {name: pinned[INSTALLS.get(name, name)] for name in hooks}
        assert "ruff-pre-commit" in hooks


class TestWorkflow:
    def test_runs_the_script_that_must_pass(self, jobs):
        assert commands(jobs["from-scratch"]) == [".ci/run"]

    def test_package_is_built_by_the_same_script_in_a_release(self):
        build = read_yaml(".github/workflows/release.yml")["jobs"]["build"]
        assert ".ci/package" in commands(build)
        assert ".ci/package" in read(".ci/run").splitlines()

    def test_python_versions_are_those_of_the_metadata(self, jobs):
        text = "\n".join(PROJECT["classifiers"])
        versions = re.findall(r"^.* :: Python :: (3\.\d+)$", text, re.M)
        assert jobs["tests"]["strategy"]["matrix"]["python"] == versions
        assert PROJECT["requires-python"] == f">={versions[0]}"

    def test_scikit_learn_versions_leave_no_gap(self, jobs):
        """Other jobs test the lowest version and that of the constraints."""
        first = lowest(requirements()["scikit-learn"]).minor
        last = Version(pins("constraints.txt")["scikit-learn"]).minor
        versions = jobs["scikit-learn"]["strategy"]["matrix"]["version"]
        assert versions == [f"1.{minor}" for minor in range(first + 1, last)]

    @pytest.mark.parametrize("job", ["tests", "lowest", "scikit-learn", "nightly"])
    def test_tests_are_run_as_the_readme_says(self, jobs, job):
        _, command = re.findall(r"^```bash\n(.*)\n```$", read("README.md"), re.M)
        tests = "python -m pytest -n auto --dist worksteal"
        assert command.rpartition(" && ")[2] == f".venv/bin/{tests}"
        assert commands(jobs[job])[-1] == tests


def test_commands_of_the_guide_for_contributors_are_those_of_the_checks():
    table = re.search(r"\n## Check\n\n(\|.*?\n)\n", read("CONTRIBUTING.md"), re.S)[1]
    told = re.findall(r"`([^`]+)`", table)
    run = read(".ci/run")
    for command in ["ruff check .", "ruff format --check .", "mypy", ".ci/package"]:
        assert command in told
        assert f"\n{command}\n" in run
    (build,) = [command for command in told if command.startswith("sphinx-build")]
    assert f" {build}\n" in run
    (measure,) = [command for command in told if "measure_pages" in command]
    assert f"    {measure}\n" in run


class TestVersion:
    VERSION = Version(siamese_sklearn.__version__)

    def test_changelog_begins_with_it(self):
        newest = re.search(r"^## (\S+)", read("CHANGELOG.md"), flags=re.MULTILINE)[1]
        assert newest == self.VERSION.base_version

    def test_citation_has_it(self):
        assert read_yaml("CITATION.cff")["version"] == self.VERSION.base_version


class TestAddresses:
    """The public addresses stand in pyproject.toml; other files repeat them."""

    BASES = PROJECT["urls"]["Documentation"], PROJECT["urls"]["Source"]
    PLACES = (
        "*",
        ".github/**/*",
        "docs/*",
        "docs/guide/*",
        "examples/*",
        "siamese_sklearn/*",
    )
    SUFFIXES = ".cff", ".md", ".py", ".toml", ".yaml", ".yml"

    def addresses(self, text):
        found = re.findall(r"https://[^\s\"')]*siamese[-_]sklearn[^\s\"')]*", text)
        return [each for each in found if not each.startswith("https://pypi.org/")]

    def test_are_the_same_everywhere(self):
        files = {path for place in self.PLACES for path in ROOT.glob(place)}
        found = {
            (path.relative_to(ROOT).as_posix(), address)
            for path in files
            if path.suffix in self.SUFFIXES
            for address in self.addresses(path.read_text(encoding="utf-8"))
        }
        names = {name for name, _ in found}
        assert {"CITATION.cff", "SECURITY.md", "pyproject.toml"} <= names
        assert [each for each in found if not each[1].startswith(self.BASES)] == []

    def test_links_of_the_readme_are_absolute_on_pypi(self):
        readme = re.sub(r"^```.*?^```$", "", read("README.md"), flags=re.M | re.S)
        hook = TOOLS["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
        for each in hook["substitutions"]:
            readme = re.sub(each["pattern"], each["replacement"], readme)
        targets = re.findall(r"\]\(([^)\s]+)\)", readme)
        assert any(target.startswith(f"{self.BASES[1]}/raw/") for target in targets)
        relative = [each for each in targets if not each.startswith(("https://", "#"))]
        assert relative == []
