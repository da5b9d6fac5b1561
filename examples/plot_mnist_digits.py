"""
Handwritten digits: a map in the plane, and "are these two the same?"
=====================================================================

A Siamese network passes two images through one and the same tower and looks at the distance of what comes
out. Training pulls images of one digit together and pushes those of different digits apart, until they are
a margin away from each other: the contrastive loss of Hadsell, Chopra & LeCun (2006), who showed it on
MNIST, in the plane.

Here the same is done in a few lines, first with the digits 0, 1 and 2, then with all ten. Then the question
changes from "where does this image lie?" to "do these two show the same digit?".
"""

# %%
# Three digits
# ------------
# The data are the official split of MNIST. `SiameseEmbedder` takes images and labels, makes the pairs
# itself, and takes a small convolutional network as tower, because the rows are images; in training it
# turns, scales and shifts each of them a little (``augment="auto"``). Two components give a picture.
# ``normalize=False`` lets the embedding fill the plane; by default it lies on the unit sphere, which is a
# circle in the plane.

import matplotlib.pyplot as plt
import numpy as np
from gallery_data import mnist, reduced
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from siamese_sklearn import SiameseEmbedder, SiamesePairClassifier, make_pairs
from siamese_sklearn.plotting import EmbeddingDisplay, PairScoreDisplay

X_train, y_train, X_test, y_test = mnist()
X_train, y_train = X_train[: reduced(60_000, 600)], y_train[: reduced(60_000, 600)]
X_test, y_test = X_test[: reduced(10_000, 500)], y_test[: reduced(10_000, 500)]
few_train, few_test = y_train < 3, y_test < 3

planar = SiameseEmbedder(
    n_components=2,
    loss="contrastive",
    margin=1.0,
    normalize=False,
    max_epochs=reduced(5, 1),
    random_state=0,
)
planar.fit(X_train[few_train], y_train[few_train])

# %%
# How good the map is, a classifier tells that knows nothing but the two coordinates: the vote of the five
# nearest training images. None of the test images was seen in training.


def neighbours_accuracy(embedder, train, test):
    neighbours = KNeighborsClassifier().fit(embedder.transform(X_train[train]), y_train[train])
    return neighbours.score(embedder.transform(X_test[test]), y_test[test])


print(f"0, 1, 2: accuracy of five neighbours {neighbours_accuracy(planar, few_train, few_test):.4f}")

# %%
# All ten
# -------
# The same estimator, now on 20,000 images of all digits. `fit` starts anew, as in all of scikit-learn. Ten
# classes are tight in the plane: on their way to a place of their own they have to pass through each other,
# so the map is a little less sure than a wider embedding, which the last section has.

ten_train, ten_test = np.arange(len(y_train)) < 20_000, np.arange(len(y_test)) < 10_000
planar_ten = clone(planar).set_params(max_epochs=reduced(6, 1))
planar_ten.fit(X_train[ten_train], y_train[ten_train])
print(f"all ten: accuracy of five neighbours {neighbours_accuracy(planar_ten, ten_train, ten_test):.4f}")

# %%
# Both maps show test images only.

figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
EmbeddingDisplay.from_estimator(planar, X_test[few_test], y_test[few_test], ax=axes[0])
EmbeddingDisplay.from_estimator(planar_ten, X_test[ten_test], y_test[ten_test], ax=axes[1])
axes[0].set_title("Digits 0, 1 and 2")
axes[1].set_title("All ten digits")

# %%
# Same or different?
# ------------------
# `SiamesePairClassifier` answers for pairs. With ``head="difference"`` the two embeddings u and v enter a
# last layer as abs(u - v), and its output is the logit of "same", trained by the cross-entropy (Koch, Zemel
# & Salakhutdinov 2015): the network learns how much each component's difference is worth. The pairs to
# train on are made in `fit`, and the threshold is put where held-out pairs are decided best.

verifiers = {}
for name, train, test in (("0, 1, 2", few_train, few_test), ("all ten", ten_train, ten_test)):
    verifier = SiamesePairClassifier(head="difference", max_epochs=reduced(5, 1), random_state=0)
    verifier.fit(X_train[train], y_train[train])
    pairs, same = make_pairs(X_test[test], y_test[test], n_pairs=reduced(20_000, 500), random_state=0)
    print(f"{name}: right about pairs {verifier.score(pairs, same):.4f}", end=", ")
    print(f"right about single images {verifier.score(X_test[test], y_test[test]):.4f}")
    verifiers[name] = verifier.pair_score(pairs), same, verifier.threshold_

# %%
# The second figure is that of identification: `predict` on images, not pairs, names the digit of the most
# similar of the ten reference images that `fit` keeps of each class. Half of the pairs above are same, half
# are different. In the histograms, everything to the right of the threshold is taken for the same digit.

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
for ax, (name, (score, same, threshold)) in zip(axes, verifiers.items(), strict=True):
    PairScoreDisplay.from_predictions(same, score, threshold=threshold, ax=ax)
    ax.set_title(f"Pairs of test images: {name}")
plt.show()

# %%
# To go on: take ``n_components=32`` and the default ``normalize=True`` for neighbours rather than pictures;
# change `margin`, or take ``loss="triplet"``; take ``augment=None`` to see what distorted copies are worth.
#
# References
# ----------
# Hadsell, Chopra & LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", CVPR 2006.
#
# Koch, Zemel & Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition", ICML Deep Learning
# Workshop 2015.
