"""
Cross-domain matching: from one kind of picture to the other
============================================================

A sketch and a photograph, a text and an image, a name in two scripts: what is to be compared is not always
of one kind, nor of one shape. A Siamese network has one tower for both sides. The *pseudo-Siamese* network
has two, with weights of their own, that meet in one space (Zagoruyko & Komodakis, "Learning to Compare Image
Patches via Convolutional Neural Networks", CVPR 2015, where both sides are still patches; two towers of
different build follow naturally).

Here the two kinds are the handwritten digits of MNIST, 28 x 28 pixels in grey, and those that scikit-learn
ships, 8 x 8 counts of the black pixels in a block of a bitmap, by other writers (Alpaydin & Kaynak 1998).
All that training hears is whether an image of the one and an image of the other show the same digit: 1 or 0.
"""

import matplotlib.pyplot as plt
import numpy as np
from gallery_data import mnist, reduced
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from siamese_sklearn import CNNTower, MLPTower, Pairs, SiamesePairClassifier
from siamese_sklearn.metrics import map_at_r, recall_at_k
from siamese_sklearn.plotting import NeighborsDisplay

large_train, y_large_train, large_test, y_large_test = mnist()
digits = load_digits()
small_train, small_test, y_small_train, y_small_test = train_test_split(
    digits.images, digits.target, test_size=1 / 3, stratify=digits.target, random_state=0
)
print(f"large: {large_train.shape}, small: {small_train.shape}")

# %%
# Pairs across
# ------------
#
# Each pair is a large image on the left and a small one on the right. Of pairs drawn at random one in ten
# shows the same digit on both sides; all of these are kept, and about as many of the others.


def pairs_across(n_drawn):
    rng = np.random.default_rng(0)
    left, right = rng.integers([len(large_train), len(small_train)], size=(n_drawn, 2)).T
    same = y_large_train[left] == y_small_train[right]
    kept = same | (rng.random(n_drawn) < 1 / 9)
    return Pairs(large_train[left[kept]], small_train[right[kept]]), same[kept].astype(int)


pairs, same = pairs_across(reduced(400_000, 5_000))
print(pairs, f"same: {same.mean():.2f}")

# %%
# Two towers
# ----------
#
# The large side gets a small convolutional network, the small side a network of one hidden layer. Both end
# in 32 numbers of unit length, and the default loss, binary cross-entropy on their distance, draws the ends
# of same pairs together. The classifier holds a tenth of the pairs out to choose its threshold.

model = SiamesePairClassifier(
    architecture="pseudo_siamese",
    tower=(CNNTower(channels=(16, 32, 32)), MLPTower(hidden_layer_sizes=(256,))),
    lr=1e-3,
    max_epochs=reduced(4, 2),
    random_state=0,
).fit(pairs, same)
print("same or different, first eight pairs:", model.predict(pairs[:8]), "truth:", same[:8])

# %%
# Retrieval from one kind to the other
# ------------------------------------
#
# ``transform(Pairs)`` embeds each side by its own tower. The rows of the two sides need not belong together:
# here they are test images of either kind, which then search each other. Recall@1 is the share of queries
# whose nearest neighbour shows the same digit; MAP@R (Musgrave, Belongie & Lim 2020) looks at all images of
# that digit, and is 1 only if they are nearer than all others.

n = len(small_test)
large, y_large = large_test[:n], y_large_test[:n]
embedded = model.transform(Pairs(large, small_test))


def report(name, left, right):
    for direction, queries, y, gallery, y_gallery in (
        ("large to small", left, y_large, right, y_small_test),
        ("small to large", right, y_small_test, left, y_large),
    ):
        options = {"gallery": gallery, "gallery_labels": y_gallery}
        recall, precision = recall_at_k(queries, y, **options), map_at_r(queries, y, **options)
        print(f"{name:>9}, {direction}: recall@1 {recall:.3f}, MAP@R {precision:.3f}")


report("embedding", embedded.left, embedded.right)

# %%
# What would the pixels say? The 20 x 20 pixels in the middle, which hold all digits of MNIST, become 8 x 8
# means: each pixel is doubled in both directions, then blocks of 5 x 5 are averaged. Now both kinds have 64
# numbers of one scale.

doubled = large[:, 4:24, 4:24].repeat(2, axis=1).repeat(2, axis=2)  # (n, 40, 40)
shrunk = doubled.reshape(n, 8, 5, 8, 5).mean(axis=(2, 4))
report("pixels", shrunk.reshape(n, 64) / 255, small_test.reshape(n, 64) / 16)

# %%
# Labels of the one kind name the other
# -------------------------------------
#
# ``enroll`` takes references of the right side with their classes, and keeps ten of each class
# (``n_references``): central ones, spread over its clusters. ``predict`` then names rows of the left side. A
# hundred images of 8 x 8 pixels name all test images of MNIST.

model.enroll(small_train, y_small_train)
print(f"MNIST, named by 100 images of 8 x 8 pixels: accuracy {model.score(large_test, y_large_test):.3f}")

# %%
# Where a neighbour by pixels is right about half of the time, one in the common space is right 98 to 99
# times of a hundred, and nearly 99 % of MNIST's test images are named rightly. (The small images are split
# at random, so the same people wrote for training and test; those of MNIST are the official split.) Below,
# the first five test images of each kind with the nearest of the other kind.

figure, axes = plt.subplots(1, 2, figsize=(11, 5.5), layout="constrained", gridspec_kw={"wspace": 0.08})
NeighborsDisplay.from_estimator(model, large[:5], small_test, y_large[:5], y_small_test, ax=axes[0])
axes[0].set_title("28 x 28 pixels search 8 x 8")
nearest = np.argsort(((embedded.right[:5, None] - embedded.left) ** 2).sum(axis=2), axis=1)[:, :5]
NeighborsDisplay.from_predictions(small_test[:5], large, nearest, y_small_test[:5], y_large, ax=axes[1])
axes[1].set_title("8 x 8 pixels search 28 x 28")
plt.show()

# %%
# To go on: any ``torch.nn.Module`` of your own can stand in the tuple of towers; ``loss="contrastive"`` or
# ``"triplet"`` take the same pairs; fewer pairs (the argument of ``pairs_across``) show how much of this is
# bought by their number.
