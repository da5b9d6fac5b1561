"""Make embedding.png, the picture of the first page and of the README: unseen digits.

Run: python docs/embedding_picture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
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

# distinct for the color blind, as in siamese_sklearn.plotting
COLORS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"]
COLORS += ["#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for ax, (title, points) in zip(axes, maps.items(), strict=True):
    for digit, color in enumerate(COLORS):
        own = points[y_test == digit]
        ax.scatter(*own.T, s=55, marker=f"${digit}$", color=color, linewidths=0)
    ax.set_title(title, fontsize=14)
    ax.set(xticks=[], yticks=[])
figure.savefig(Path(__file__).with_name("_static") / "embedding.png", dpi=120)
