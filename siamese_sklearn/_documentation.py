"""The address of the documentation, to which the HTML view of estimators links."""

from __future__ import annotations

__all__ = ["DocumentationLink"]

# Read the Docs redirects /page/ to the default version.
_PAGES = "https://siamese-sklearn.readthedocs.io/page/api/generated"


class DocumentationLink:
    """Mixin whose attributes tell scikit-learn where a class is documented.

    It has to come before `sklearn.base.BaseEstimator`, whose link it replaces. The
    module in the address is the public part of the module that defines the class. A
    subclass defined outside of this package has no link.
    """

    _doc_link_module = "siamese_sklearn"
    _doc_link_template = f"{_PAGES}/{{estimator_module}}.{{estimator_name}}.html"
