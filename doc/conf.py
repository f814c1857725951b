"""Configuration of the documentation; `make docs` builds it."""

import warnings

import sklinfluence


def without_its_place(message, category, filename, lineno, line=None):
    """A warning in the words that a reader of the gallery needs: not where this ran."""
    return f"{category.__name__}: {message}\n"


warnings.formatwarning = without_its_place

project = "sklinfluence"
copyright = "The sklinfluence developers"
author = "The sklinfluence developers"
version = release = sklinfluence.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]

autosummary_generate = True
# Types stand in the docstrings, in words; written out, an array-like is five lines.
autodoc_typehints = "none"
# The class template lists the members; numpydoc would list them once more.
numpydoc_show_class_members = False
intersphinx_mapping = {
    "joblib": ("https://joblib.readthedocs.io/en/stable", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "python": ("https://docs.python.org/3", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
    "skorch": ("https://skorch.readthedocs.io/en/stable", None),
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # The demo is a command with arguments, not a page.
    "ignore_pattern": r"demo\.py",
    "doc_module": ("sklinfluence",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"sklinfluence": None},
    "remove_config_comments": True,
    # Tables are shown; what plotting calls return is not.
    "capture_repr": ("_repr_html_",),
    # Sharp on screens of twice the density too.
    "image_srcset": ["2x"],
}

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_title = f"sklinfluence {release}"
html_theme_options = {"show_prev_next": False}
