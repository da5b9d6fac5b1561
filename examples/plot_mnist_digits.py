"""
Handwritten digits: a map in the plane, and "are these two the same?"
=====================================================================

A Siamese network passes two images through the same tower and compares the two outputs
by their distance. Training pulls images of the same digit together and pushes images of
different digits apart until they are a margin away from each other. This is the
contrastive loss of Hadsell, Chopra & LeCun (2006), who demonstrated it on MNIST, in the
plane.

This example does the same in a few lines, first with the digits 0, 1 and 2, then with
all ten. Then it turns from "where does this image lie?" to "do these two images show
the same digit?".
"""

# %%
# Three digits
# ------------
# MNIST holds 70,000 images, and the last seventh of them is the official test set.
# `SiameseEmbedder` takes images and labels and makes the pairs itself. Because the rows
# are images, its tower is a small convolutional network, and training rotates, scales
# and shifts each image a little (``augment="auto"``). Two components give a map. By
# default, embeddings lie on the unit sphere, which in the plane is a circle;
# ``normalize=False`` lets them fill the plane.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier, make_pairs
from siamese_sklearn.plotting import EmbeddingDisplay, PairScoreDisplay

X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
X, y = X.reshape(-1, 28, 28).astype(np.uint8), y.astype(int)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=1 / 7, shuffle=False
)
few_train, few_test = y_train < 3, y_test < 3

planar = SiameseEmbedder(
    n_components=2,
    loss="contrastive",
    margin=1.0,
    normalize=False,
    max_epochs=5,
    random_state=0,
)
planar.fit(X_train[few_train], y_train[few_train])

# %%
# To measure how good the map is, we classify each test image by the five training
# images nearest to it on the map. No test image was seen in training.


def neighbors_accuracy(embedder, train, test):
    neighbors = KNeighborsClassifier()
    neighbors.fit(embedder.transform(X_train[train]), y_train[train])
    return neighbors.score(embedder.transform(X_test[test]), y_test[test])


accuracy = neighbors_accuracy(planar, few_train, few_test)
print(f"0, 1, 2: accuracy of five neighbors {accuracy:.4f}")

# %%
# All ten
# -------
# The same estimator, now on 20,000 images of all digits. As everywhere in scikit-learn,
# `fit` starts from scratch. Ten classes are crowded in the plane: on the way to its
# place, each has to pass through others, so this map is less accurate than an embedding
# with more components, like those of the last section.

ten_train, ten_test = np.arange(len(y_train)) < 20_000, y_test < 10
planar_ten = clone(planar).set_params(max_epochs=6)
planar_ten.fit(X_train[ten_train], y_train[ten_train])
accuracy = neighbors_accuracy(planar_ten, ten_train, ten_test)
print(f"all ten: accuracy of five neighbors {accuracy:.4f}")

# %%
# Both maps show test images only.

figure, axes = plt.subplots(1, 2, figsize=(8.5, 4), layout="constrained")
maps = {
    "Digits 0, 1 and 2": (planar, few_test),
    "All ten digits": (planar_ten, ten_test),
}
for ax, (title, (embedder, test)) in zip(axes, maps.items(), strict=True):
    EmbeddingDisplay.from_estimator(embedder, X_test[test], y_test[test], ax=ax)
    ax.set_title(title)

# %%
# Same or different?
# ------------------
# `SiamesePairClassifier` decides about pairs. With ``head="difference"``, a last layer
# turns the absolute difference of the two embeddings into the logit of "same", trained
# by cross-entropy (Koch, Zemel & Salakhutdinov 2015): the network learns how much the
# difference in each component counts. `fit` makes the training pairs and chooses the
# threshold that is most accurate on held-out pairs.

verifiers = {}
for name, train, test in (
    ("0, 1, 2", few_train, few_test),
    ("all ten", ten_train, ten_test),
):
    verifier = SiamesePairClassifier(head="difference", max_epochs=5, random_state=0)
    verifier.fit(X_train[train], y_train[train])
    pairs, same = make_pairs(X_test[test], y_test[test], n_pairs=20_000, random_state=0)
    print(
        f"{name}: accuracy on pairs {verifier.score(pairs, same):.4f}, "
        f"on single images {verifier.score(X_test[test], y_test[test]):.4f}"
    )
    verifiers[name] = verifier.pair_score(pairs), same, verifier.threshold_

# %%
# The accuracy on single images is that of identification: given images instead of
# pairs, `predict` returns the digit whose reference images are most similar, and `fit`
# keeps thirty references of each class. Half of the pairs above show the same digit,
# half show different ones. In the histograms, pairs to the right of the threshold count
# as the same.

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained")
for ax, (name, (score, same, threshold)) in zip(axes, verifiers.items(), strict=True):
    PairScoreDisplay.from_predictions(same, score, threshold=threshold, ax=ax)
    ax.set_title(f"Pairs of test images: {name}")
plt.show()

# %%
# Things to try: for neighbors rather than pictures, the defaults of `n_components`
# and ``normalize``; another `margin`, or ``loss="triplet"``; ``augment=None``,
# to see what the distorted copies contribute.
#
# References
# ----------
# Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping",
# CVPR 2006.
#
# Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition",
# ICML Deep Learning Workshop 2015.
