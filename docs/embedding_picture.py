"""Make embedding.png, the picture of the first page and of the README: unseen digits.

Run: python docs/embedding_picture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from siamese_sklearn import SiameseEmbedder

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
planar = SiameseEmbedder(
    n_components=2,
    loss="contrastive",
    margin=1.0,
    normalize=False,
    device="cpu",
    random_state=0,
)
maps = {
    "Pixels, two principal components": PCA(2, random_state=0)
    .fit(X_train)
    .transform(X_test),
    "Siamese embedding, n_components=2": planar.fit(X_train, y_train).transform(X_test),
}

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for ax, (title, points) in zip(axes, maps.items(), strict=True):
    for digit in np.unique(y_test):
        own = points[y_test == digit]
        ax.scatter(*own.T, s=14, color=plt.cm.tab10(digit), alpha=0.6, linewidths=0)
        ax.text(
            *np.median(own, axis=0),
            str(digit),
            fontsize=15,
            weight="bold",
            ha="center",
            va="center",
            bbox={
                "boxstyle": "circle,pad=0.15",
                "facecolor": "white",
                "alpha": 0.8,
                "linewidth": 0,
            },
        )
    ax.set_title(title, fontsize=13)
    ax.set(xticks=[], yticks=[])
figure.savefig(Path(__file__).with_name("_static") / "embedding.png", dpi=120)
