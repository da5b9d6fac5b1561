"""Every Python block of the README and of the guide pages runs, those of one page in one namespace."""

import re
from pathlib import Path

import matplotlib
import pytest

from siamese_sklearn.losses import LOSSES

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python" in page.read_text()
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_blocks_run(page):
    matplotlib.use("Agg")
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks
    namespace = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)


def test_readme_lists_the_losses_of_the_registry():
    section = (ROOT / "README.md").read_text().split("\n## Losses\n")[1].split("\n## ")[0]
    rows = re.findall(r'^\| `"(\w+)"`.*? \| `(\w+)` \|', section, flags=re.MULTILINE)
    assert sorted(rows) == sorted((name, spec.__name__) for name, spec in LOSSES.items())


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_relative_links_lead_to_files(page):
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", prose)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_readme_names_exactly_two_commands():
    commands = re.findall(
        r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert [len(command.strip().splitlines()) for command in commands] == [1, 1]
