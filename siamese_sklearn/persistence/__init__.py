"""Files of fitted estimators, without pickle: loading one runs no code from it.

A file is a zip archive, which `numpy.load` opens as well: one member is JSON, the
others are arrays in NumPy's format. NumPy alone reads and writes it.
"""

from siamese_sklearn.persistence._model import load, save

__all__ = ["load", "save"]
