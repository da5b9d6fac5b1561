"""
Binary codes: eight bytes a digit
=================================

An embedding of 32 float32 numbers takes 128 bytes. For search in a large collection one would rather have a
few bits, compared by how many of them differ: the Hamming distance, which a processor takes 64 bits at a
time.

Hamming distance metric learning (Norouzi, Fleet & Salakhutdinov, "Hamming Distance Metric Learning", NeurIPS
2012) trains for that distance: of a triplet, the code of the negative has to differ from the anchor's in
more bits than the code of the positive does. Bits have no gradient. The paper bounds the loss from above;
``loss="hamming_triplet"`` trains with soft bits in their place, and keeps each bit 0 for about half of the
rows, so that none is wasted.

This script asks how many bits handwritten digits need, and whether it matters that training knows of the
bits.
"""

import matplotlib.pyplot as plt
import numpy as np
from gallery_data import mnist, reduced
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.binary import hamming_neighbors, pack_bits, to_bits

X_train, y_train, X_test, y_test = mnist()
X_train = X_train.reshape(-1, 28 * 28)[: reduced(60_000, 600)].astype(np.float32)
X_test = X_test.reshape(-1, 28 * 28)[: reduced(10_000, 200)].astype(np.float32)
y_train, y_test = y_train[: len(X_train)], y_test[: len(X_test)]

# %%
# From images to packed codes
# ---------------------------
#
# After a fit with ``loss="hamming_triplet"``, ``transform`` gives the bits themselves, as zeros and ones in
# float32, so that any scikit-learn estimator takes them. ``pack_bits`` puts eight of them into a byte.

WIDTHS = [8, 16, 32, 64, 128]
settings = {"max_epochs": reduced(5, 2), "batch_size": 256, "lr": 1e-3, "random_state": 0}
hashes = {
    width: SiameseEmbedder(width, loss="hamming_triplet", **settings).fit(X_train, y_train)
    for width in WIDTHS
}

bits = hashes[64].transform(X_train)
codes = pack_bits(bits)
print("bits of the first digit: ", "".join(str(int(bit)) for bit in bits[0]))
print("the same, packed:        ", codes[0])
print(f"{len(codes)} digits: {X_train.size / 1e6:.1f} MB of pixels, {codes.nbytes / 1e6:.2f} MB of codes")
print(f"share of ones per bit:    {bits.mean(axis=0).min():.2f} to {bits.mean(axis=0).max():.2f}")

# %%
# Neighbours by Hamming distance
# ------------------------------
#
# ``hamming_neighbors`` compares every query with every code. The nearest five vote on the digit, and of
# digits with equally many votes the one that is nearest wins.

N_NEIGHBORS = 5


def error(indices):
    """Share of the test digits that their neighbours, nearest first, vote wrong."""
    labels = y_train[indices]  # (n, 5)
    votes = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)  # (n, 5), for the digit of each neighbour
    answer = labels[np.arange(len(labels)), votes.argmax(axis=1)]
    return np.mean(answer != y_test)


def error_of_bits(train_bits, test_bits):
    return error(hamming_neighbors(pack_bits(test_bits), pack_bits(train_bits), N_NEIGHBORS)[1])


distances, indices = hamming_neighbors(pack_bits(hashes[64].transform(X_test)), codes, N_NEIGHBORS)
print(f"error with 64 bits: {error(indices):.2%}")
print(f"bits that differ from the nearest code: {np.median(distances[:, 0]):.0f} (median)")

# %%
# How many bits?
# --------------
#
# Beside the codes stands an embedding of as many floats, trained by the triplet loss, with neighbours by
# Euclidean distance; and what is left of it when only the signs of its floats are kept, which is the obvious
# way to get bits from a network that was not trained for them.

errors = {"bits, trained as bits": [], "floats": [], "signs of the floats": []}
for width in WIDTHS:
    own_bits = hashes[width].transform(X_train), hashes[width].transform(X_test)
    errors["bits, trained as bits"].append(error_of_bits(*own_bits))

    floats = SiameseEmbedder(width, loss="triplet", **settings).fit(X_train, y_train)
    Z_train, Z_test = floats.transform(X_train), floats.transform(X_test)
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(Z_train)
    errors["floats"].append(error(search.kneighbors(Z_test, return_distance=False)))
    errors["signs of the floats"].append(error_of_bits(to_bits(Z_train), to_bits(Z_test)))

print("components  bytes of bits  of floats  " + "  ".join(errors))
for width, *row in zip(WIDTHS, *errors.values(), strict=True):
    figures = "  ".join(f"{value:>{len(name)}.2%}" for name, value in zip(errors, row, strict=True))
    print(f"{width:>10}  {width // 8:>13}  {4 * width:>9}  {figures}")

# %%
# Left, at equal width: with 64 components, bits that were trained as bits err hardly more often than floats
# (1.7 % against 1.6 %), and more bits do not help. The signs of an embedding that knew nothing of them lose
# most where there are few: with 8 components about 9 % are wrong, against 2.4 % of codes trained as such,
# which are a single byte. Right, at equal memory: codes of 8 bytes are as good as the smallest embedding
# here, of 8 floats in 32 bytes, and the pixels took 784.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
styles = dict(zip(errors, ["o-", "s--", "^:"], strict=True))
colors = dict(zip(errors, ["tab:blue", "tab:orange", "tab:gray"], strict=True))
for name, values in errors.items():
    percent = 100 * np.array(values)
    n_bytes = np.array(WIDTHS) * 4 if name == "floats" else np.array(WIDTHS) / 8
    left.plot(WIDTHS, percent, styles[name], color=colors[name], label=name)
    right.plot(n_bytes, percent, styles[name], color=colors[name], label=name)
for ax, label, ticks in ((left, "components", WIDTHS), (right, "bytes per digit", [1, 4, 16, 64, 256])):
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_yticks([2, 3, 5, 8], ["2 %", "3 %", "5 %", "8 %"])
    ax.minorticks_off()
    ax.set(xlabel=label)
    ax.grid(alpha=0.3)
left.set(ylabel="error of five neighbours", title="At equal width")
left.legend()
right.set(title="At equal memory")
plt.show()

# %%
# To go on: a larger ``margin`` (of bits; a sixteenth of them by default),
# ``loss=HammingTripletLoss(balance=0)`` to see bits that are always 0 or always 1, or images and the default
# convolutional tower in place of flat rows.
