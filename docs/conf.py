"""Configuration of the documentation.

Build it by: sphinx-build -W --keep-going -b html docs docs/_build/html
"""

import os
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
EXAMPLES = DOCS.parent / "examples"
sys.path.insert(0, str(DOCS / "_ext"))

from gallery import REDUCED, scripts_to_run  # noqa: E402

import siamese_sklearn  # noqa: E402

project = "siamese_sklearn"
release = version = siamese_sklearn.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "gallery_thumbnails",
    "linked_types",
    "links_by_last_name",
    "own_methods",
    "plain_docstrings",
    "source_of_inherited",
    "table_of_losses",
]
exclude_patterns = ["_build", "_jupyter", "auto_examples/*.ipynb", "inventories"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# Pages with code cells run when they are built; docs/contributing.md says how to write
# them. A cell that fails or warns is a warning of the build.
os.environ["JUPYTER_PATH"] = str(DOCS / "_jupyter")  # its kernel draws figures as SVG
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_output_stderr = "warn"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"

# Names in docstrings stand in single backticks; those that name no object stay code. A
# name that begins with one of these packages has to lead somewhere. The inventories
# list the names of other projects, as builds have no network to fetch them from.
default_role = "obj"
intersphinx_mapping = {
    "matplotlib": ("https://matplotlib.org/stable/", "inventories/matplotlib.txt"),
    "numpy": ("https://numpy.org/doc/stable/", "inventories/numpy.txt"),
    "pandas": ("https://pandas.pydata.org/docs/", "inventories/pandas.txt"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "inventories/scipy.txt"),
    "sklearn": ("https://scikit-learn.org/stable/", "inventories/sklearn.txt"),
    "skorch": ("https://skorch.readthedocs.io/en/stable/", "inventories/skorch.txt"),
    "torch": ("https://docs.pytorch.org/docs/stable/", "inventories/torch.txt"),
}
PACKAGES = "|".join(["siamese_sklearn", *intersphinx_mapping])
nitpicky = True
nitpick_ignore_regex = [("py:.*", rf"(?!({PACKAGES})\.).*")]

autodoc_typehints = "none"  # the docstrings tell the types
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of classes lists them
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # words that linked_types does not know

sphinx_gallery_conf = {
    "examples_dirs": str(EXAMPLES),
    "gallery_dirs": "auto_examples",
    "filename_pattern": scripts_to_run(EXAMPLES),
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",  # the quick start
    "within_subsection_order": "gallery.GalleryOrder",
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib", "gallery.provide"),
    "reset_modules_order": "both",
    "capture_repr": (),
    "image_srcset": ["2x"],  # sharp on dense screens, and on narrow ones when zoomed
    "backreferences_dir": "api/backreferences",
    "doc_module": ("siamese_sklearn",),
    "remove_config_comments": True,
    "show_signature": False,
    "download_all_examples": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "siamese_sklearn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["tables.js"]
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}
html_sidebars = {
    "index": [],
    "installation": [],
    "comparison": [],
    "benchmarks": [],
    "stability": [],
    "contributing": [],
}
if REDUCED:
    html_theme_options["announcement"] = (
        "The gallery ran in reduced form, on little data: its figures mean nothing."
    )
