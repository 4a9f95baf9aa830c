"""Configuration of Sphinx. `make docs` builds the site into docs/_build/html."""

import inspect
import posixpath
import sys
import warnings
from pathlib import Path

from docutils import nodes
from matplotlib.figure import Figure
from sphinx import addnodes
from sphinx_gallery.scrapers import figure_rst

import codebooks

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/codebooks-learn/codebooks"

project = "codebooks"
author = "the codebooks developers"
copyright = f"2026, {author}"
version = release = codebooks.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
root_doc = "index"
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "gallery/*.md5", "gallery/*.py", "gallery/*.ipynb"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]  # functions in the configuration cannot be compared with those of the last build
highlight_language = "python3"
default_role = "literal"
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "codebooks"
html_show_sourcelink = False
html_theme_options = {
    "github_url": REPOSITORY,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
}
html_sidebars = {"installation": [], "tutorial": [], "choosing": [], "benchmarks": [], "changes": []}


def scrape_figures(block, block_vars, gallery_conf):
    """Save the figures that a cell of an example has made. They are made without pyplot."""
    paths = []
    for value in block_vars["example_globals"].values():
        figure = getattr(value, "figure", value)
        if isinstance(figure, Figure) and not hasattr(figure, "in_gallery"):
            figure.in_gallery = True
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=100)
    return figure_rst(paths, gallery_conf["src_dir"])


sphinx_gallery_conf = {
    "image_scrapers": (scrape_figures,),
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "plot_gallery": True,
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "reference_url": {"codebooks": None},
    "doc_module": ("codebooks",),
    "backreferences_dir": "gallery/backreferences",
    "remove_config_comments": True,
    "show_memory": False,
    "reset_argv": lambda conf, variables: [],
    "min_reported_time": 0,
    "download_all_examples": False,
    "write_computation_times": False,
}


def linkcode_resolve(domain, info):
    """Return the address of the source code of an object."""
    if domain != "py" or not info["module"]:
        return None
    value = sys.modules.get(info["module"])
    for name in info["fullname"].split("."):
        value = getattr(value, name, None)
    value = inspect.unwrap(getattr(value, "fget", value)) if value is not None else None
    try:
        file = Path(inspect.getsourcefile(value)).relative_to(ROOT)
        lines, start = inspect.getsourcelines(value)
    except (OSError, TypeError, ValueError):
        return None
    return f"{REPOSITORY}/blob/main/{file.as_posix()}#L{start}-L{start + len(lines) - 1}"


def skip_member(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn adds to every estimator."""
    return True if name in INHERITED or (name.startswith("set_") and name.endswith("_request")) else skip


FOLDERS = {"benchmarks": "benchmarks/", "changes": "", "development": ""}  # of files that pages include


def link_to_repository(app, doctree):
    """Turn links between files of the repository, on pages that include such a file, into addresses."""
    page = app.env.current_document.docname
    for node in list(doctree.findall(addnodes.pending_xref)) if page in FOLDERS else ():
        if node["reftype"] == "myst" and not node["reftarget"].startswith("#"):
            target = posixpath.normpath(FOLDERS[page] + node["reftarget"])
            link = nodes.reference("", "", refuri=f"{REPOSITORY}/blob/main/{target}")
            link += node.children
            node.replace_self(link)


INHERITED = {"get_metadata_routing", "get_params", "set_params", "set_output", "set_callbacks"}


def setup(app):
    """Connect the functions of this file."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("doctree-read", link_to_repository)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
