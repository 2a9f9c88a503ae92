"""The documentation site: ``sphinx-build -W -n -b html docs docs/_build/html``.

Neither building nor reading the site needs a network: formulas are MathML, and
no page loads a script or a font from another server. Only the notebooks that
run in the browser (``docs/tools/lite.py``) do.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import numpylstm  # noqa: E402

project = "numpylstm"
author = "The numpylstm developers"
project_copyright = "The numpylstm developers"
release = version = numpylstm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "cell",  # the last four are in docs/_ext
    "mathml",
    "names",
    "pages",
]
exclude_patterns = ["_build", "_ext", "teaching", "**/.ipynb_checkpoints"]
nitpicky = True

# --- Markdown and notebooks ----------------------------------------------------------------------

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their outputs; a test executes them
nb_merge_streams = True
nb_render_image_options = {"alt": "The figure that the code above draws"}
suppress_warnings = ["mystnb.unknown_mime_type"]  # such outputs have another form, which is shown

# --- the package ---------------------------------------------------------------------------------

default_role = "name"  # `forward` in a docstring: a link if such a name exists, else code
add_module_names = False  # each page is one module
autodoc_typehints = "none"  # the docstrings give shapes, which are more precise
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False  # "(T, B, D) or (B, D)" is not a type with a page
numpydoc_use_plots = False

# --- checks of links -----------------------------------------------------------------------------

linkcheck_timeout = 20
linkcheck_anchors = False
# Publishers that refuse requests without a browser.
linkcheck_ignore = [r"https://doi\.org/10\.(1016|1109|1137|1145|1162|1207)/.*"]

# --- HTML ----------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "numpylstm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Pages without subpages need no sidebar.
html_sidebars = {
    page: [] for page in ("index", "results", "minutes", "benchmarks", "glossary", "bibliography")
}
