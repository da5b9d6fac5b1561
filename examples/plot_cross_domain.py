"""
Cross-domain matching: from one kind of picture to the other
============================================================

A sketch and a photograph, a text and an image, a name in two scripts: the things to
compare are not always of the same kind, or even of the same shape. A Siamese network
has one tower for both sides. A *pseudo-Siamese* network has two towers with separate
weights that map into the same space (Zagoruyko & Komodakis, "Learning to Compare Image
Patches via Convolutional Neural Networks", CVPR 2015). There both sides are still image
patches, but the two towers can just as well be built differently.

The two kinds here are the handwritten digits of MNIST, 28 x 28 pixels in gray, and the
digits that come with scikit-learn, 8 x 8 counts of the black pixels in each block of a
bitmap, by other writers (Alpaydin & Kaynak 1998). For each pair of images, one of each
kind, training is told only whether they show the same digit: 1 or 0.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from siamese_sklearn import CNNTower, MLPTower, Pairs, SiamesePairClassifier
from siamese_sklearn.metrics import map_at_r, recall_at_k
from siamese_sklearn.plotting import NeighborsDisplay

X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
X, y = X.reshape(-1, 28, 28).astype(np.uint8), y.astype(int)
large_train, large_test, y_large_train, y_large_test = train_test_split(
    X,
    y,
    test_size=1 / 7,
    shuffle=False,  # the official split
)
digits = load_digits()
small_train, small_test, y_small_train, y_small_test = train_test_split(
    digits.images,
    digits.target,
    test_size=1 / 3,
    stratify=digits.target,
    random_state=0,
)
print(f"large: {large_train.shape}, small: {small_train.shape}")

# %%
# Pairs across kinds
# ------------------
#
# Each pair has a large image on the left and a small one on the right. One random pair
# in ten shows the same digit on both sides. We keep all of these, and about as many of
# the others.


def pairs_across(n_drawn):
    rng = np.random.default_rng(0)
    n_images = [len(large_train), len(small_train)]
    left, right = rng.integers(n_images, size=(n_drawn, 2)).T
    same = y_large_train[left] == y_small_train[right]
    kept = same | (rng.random(n_drawn) < 1 / 9)
    pairs = Pairs(large_train[left[kept]], small_train[right[kept]])
    return pairs, same[kept].astype(int)


pairs, same = pairs_across(400_000)
print(pairs)
print(f"same: {same.mean():.2f}")

# %%
# Two towers
# ----------
#
# The large images get a small convolutional network, the small images a network with
# one hidden layer. Both output 64 numbers of unit norm, and the default loss, binary
# cross-entropy on their distance, pulls the two embeddings of a same pair together. The
# classifier holds out a tenth of the pairs to choose its threshold.

model = SiamesePairClassifier(
    architecture="pseudo_siamese",
    tower=(CNNTower(channels=(16, 32, 32)), MLPTower(hidden_layer_sizes=(256,))),
    lr=1e-3,
    max_epochs=4,
    random_state=0,
).fit(pairs, same)
print("predicted for the first eight pairs:", model.predict(pairs[:8]))
print("truth:                              ", same[:8])

# %%
# Retrieval across kinds
# ----------------------
#
# ``transform(Pairs)`` embeds each side with its own tower. The two sides need not match
# row by row: here they are test images of either kind, and each side then searches the
# other. Recall@1 is the share of queries whose nearest neighbor shows the same digit.
# MAP@R (Musgrave, Belongie & Lim 2020) considers all images of the query's digit, and
# is 1 only if they are all nearer than any other image.

n = len(small_test)
large, y_large = large_test[:n], y_large_test[:n]
embedded = model.transform(Pairs(large, small_test))


def report(name, left, right):
    for direction, queries, labels, gallery, gallery_labels in (
        ("large to small", left, y_large, right, y_small_test),
        ("small to large", right, y_small_test, left, y_large),
    ):
        options = {"gallery": gallery, "gallery_labels": gallery_labels}
        recall = recall_at_k(queries, labels, **options)
        precision = map_at_r(queries, labels, **options)
        print(f"{name:>9}, {direction}: recall@1 {recall:.3f}, MAP@R {precision:.3f}")


report("embedding", embedded.left, embedded.right)

# %%
# How far do the pixels alone get? The central 20 x 20 pixels, which contain every digit
# of MNIST, become 8 x 8 means: each pixel is doubled in both directions, then blocks of
# 5 x 5 are averaged. Both kinds now have 64 numbers on the same scale.

doubled = large[:, 4:24, 4:24].repeat(2, axis=1).repeat(2, axis=2)  # (n, 40, 40)
shrunk = doubled.reshape(n, 8, 5, 8, 5).mean(axis=(2, 4))
report("pixels", shrunk.reshape(n, 64) / 255, small_test.reshape(n, 64) / 16)

# %%
# Labels of one kind name the other
# ---------------------------------
#
# ``enroll`` takes labeled references of the right-hand kind and keeps thirty per class
# (``n_references``): central ones, spread over the clusters of the class. ``predict``
# then names images of the left-hand kind. Three hundred images of 8 x 8 pixels name all
# test images of MNIST.

model.enroll(small_train, y_small_train)
accuracy = model.score(large_test, y_large_test)
print(f"MNIST, named by 300 images of 8 x 8 pixels: accuracy {accuracy:.3f}")

# %%
# The nearest neighbor by pixels is right about half of the time, and by the shared
# embedding 98 to 99 times in a hundred. Nearly 99% of MNIST's test images get the right
# name. (The small images are split at random, so the same people wrote the training and
# the test images; those of MNIST are the official split.) The figure shows the first
# five test images of each kind with their nearest neighbors of the other kind.

figure, axes = plt.subplots(
    1, 2, figsize=(11, 5.5), layout="constrained", gridspec_kw={"wspace": 0.08}
)
NeighborsDisplay.from_estimator(
    model, large[:5], small_test, y_large[:5], y_small_test, ax=axes[0]
)
axes[0].set_title("28 x 28 pixels search 8 x 8")
differences = embedded.right[:5, None] - embedded.left  # (5, n, 64)
nearest = np.argsort((differences**2).sum(axis=2), axis=1)[:, :5]
NeighborsDisplay.from_predictions(
    small_test[:5], large, nearest, y_small_test[:5], y_large, ax=axes[1]
)
axes[1].set_title("8 x 8 pixels search 28 x 28")
plt.show()

# %%
# Things to try: put any ``torch.nn.Module`` of your own into the tuple of towers; train
# on the same pairs with ``loss="contrastive"`` or ``"triplet"``; pass fewer pairs to
# ``pairs_across``, to see how much depends on their number.
