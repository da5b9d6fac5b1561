"""Small results to draw, and what is read off the drawings."""

import numpy as np

BLUE, VERMILION = "#0072b2", "#d55e00"
HISTORY = [
    {"train_loss": 0.5, "n_active": 80.0, "spread": 0.9, "valid_score": 0.6},
    {"train_loss": 0.3, "n_active": 40.0, "spread": 0.8, "valid_score": 0.7},
    {"train_loss": 0.2, "n_active": 10.0, "spread": 0.7, "valid_score": 0.9},
]
SAME, SCORE = np.array([1, 1, 1, 1, 0, 0, 0, 0]), np.array([9.0, 8, 7, 3, 5, 2, 2, 1])

# four searches for ann and bob, the second of them missed, and four by strangers
SOUGHT, CLASSES = list("abbaswxy"), ["a", "b"]
SCORES = np.array([[9.0, 2], [6, 3], [1, 7], [5, 0], [1, 8], [3, 2], [2, 2], [0, 1]])


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def colors(artists, plt):
    from matplotlib.colors import to_hex

    return [to_hex(artist.get_edgecolor()) for artist in artists]
