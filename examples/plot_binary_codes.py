"""
Binary codes: eight bytes per digit
===================================

An embedding of 32 float32 numbers takes 128 bytes. To search a large collection, you
would rather have a few bits per item and compare them by the number that differ. That
is the Hamming distance, which a processor computes for 64 bits at a time.

Hamming distance metric learning (Norouzi, Fleet & Salakhutdinov, "Hamming Distance
Metric Learning", NeurIPS 2012) trains for this distance: in each triplet, the code of
the negative has to differ from the anchor's in more bits than the code of the positive
does. Bits have no gradient, so the paper minimizes an upper bound of the loss.
``loss="hamming_triplet"`` instead trains with soft bits, and keeps each bit at 0 for
about half of the rows, so that none is wasted.

This example asks how many bits handwritten digits need, and whether it matters that
training knows about the bits.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_openml
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.binary import hamming_neighbors, pack_bits, to_bits

X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X.astype(np.float32),
    y.astype(int),
    test_size=1 / 7,
    shuffle=False,  # official split
)

# %%
# From images to packed codes
# ---------------------------
#
# After a fit with ``loss="hamming_triplet"``, ``transform`` returns the bits
# themselves, as zeros and ones in float32, which any scikit-learn estimator accepts.
# ``pack_bits`` puts eight of them into one byte.

WIDTHS = [8, 16, 32, 64, 128]
settings = {"max_epochs": 5, "batch_size": 256, "lr": 1e-3, "random_state": 0}
hashes = {
    width: SiameseEmbedder(width, loss="hamming_triplet", **settings).fit(
        X_train, y_train
    )
    for width in WIDTHS
}

bits = hashes[64].transform(X_train)
codes = pack_bits(bits)
ones = bits.mean(axis=0)
print("bits of the first digit:", "".join(str(int(bit)) for bit in bits[0]))
print("the same, packed:       ", codes[0])
print(f"pixels of {len(X_train)} digits: {X_train.size / 1e6:.1f} MB as bytes")
print(f"codes of {len(codes)} digits:  {codes.nbytes / 1e6:.2f} MB")
print(f"share of ones per bit:   {ones.min():.2f} to {ones.max():.2f}")

# %%
# Neighbors by Hamming distance
# -----------------------------
#
# ``hamming_neighbors`` compares every query with every code. The nearest five vote on
# the digit; of digits with equally many votes, the nearest one wins.

N_NEIGHBORS = 5


def error(indices):
    """Share of test digits whose neighbors (nearest first) vote for another digit."""
    labels = y_train[indices]  # (n, 5)
    votes = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)  # (n, 5)
    answer = labels[np.arange(len(labels)), votes.argmax(axis=1)]
    return np.mean(answer != y_test)


def error_of_bits(train_bits, test_bits):
    _, indices = hamming_neighbors(
        pack_bits(test_bits), pack_bits(train_bits), N_NEIGHBORS
    )
    return error(indices)


test_codes = pack_bits(hashes[64].transform(X_test))
distances, indices = hamming_neighbors(test_codes, codes, N_NEIGHBORS)
print(f"error with 64 bits: {error(indices):.2%}")
print(f"median distance to the nearest code: {np.median(distances[:, 0]):.0f} bits")

# %%
# How many bits?
# --------------
#
# We compare the codes with two alternatives of the same width: an embedding of floats
# trained by the triplet loss, with neighbors by Euclidean distance; and the signs of
# those floats, which is the obvious way to get bits from a network that was not trained
# for them.

errors = {"bits, trained as bits": [], "floats": [], "signs of the floats": []}
for width in WIDTHS:
    own_bits = hashes[width].transform(X_train), hashes[width].transform(X_test)
    errors["bits, trained as bits"].append(error_of_bits(*own_bits))

    floats = SiameseEmbedder(width, loss="triplet", **settings).fit(X_train, y_train)
    Z_train, Z_test = floats.transform(X_train), floats.transform(X_test)
    search = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(Z_train)
    errors["floats"].append(error(search.kneighbors(Z_test, return_distance=False)))
    errors["signs of the floats"].append(
        error_of_bits(to_bits(Z_train), to_bits(Z_test))
    )

print("components  bytes of bits  of floats  " + "  ".join(errors))
for width, *row in zip(WIDTHS, *errors.values(), strict=True):
    figures = "  ".join(
        f"{value:>{len(name)}.2%}" for name, value in zip(errors, row, strict=True)
    )
    print(f"{width:>10}  {width // 8:>13}  {4 * width:>9}  {figures}")

# %%
# Left, at equal width: with 64 components, bits trained as bits are wrong hardly more
# often than floats (1.7% against 1.6%), and more bits do not help. The signs of an
# embedding that was not trained for them lose most where they are few: with 8
# components about 9% are wrong, against 2.4% of the codes trained as bits, which are a
# single byte each. Right, at equal memory: codes of 8 bytes are as good as the smallest
# embedding here, 8 floats in 32 bytes, and the pixels take 784 bytes.

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10, 4.2), sharey=True, layout="constrained"
)
styles = dict(zip(errors, ["o-", "s--", "^:"], strict=True))
colors = dict(zip(errors, ["tab:blue", "tab:orange", "tab:gray"], strict=True))
for name, values in errors.items():
    percent = 100 * np.array(values)
    n_bytes = np.array(WIDTHS) * 4 if name == "floats" else np.array(WIDTHS) / 8
    left.plot(WIDTHS, percent, styles[name], color=colors[name], label=name)
    right.plot(n_bytes, percent, styles[name], color=colors[name], label=name)
for ax, label, ticks in (
    (left, "components", WIDTHS),
    (right, "bytes per digit", [1, 4, 16, 64, 256]),
):
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_yticks([2, 3, 5, 8], ["2%", "3%", "5%", "8%"])
    ax.minorticks_off()
    ax.set(xlabel=label)
    ax.grid(alpha=0.3)
left.set(ylabel="error of five neighbors", title="At equal width")
left.legend()
right.set(title="At equal memory")
plt.show()

# %%
# Things to try: a larger ``margin`` (in bits; the default is a sixteenth of them);
# ``loss=HammingTripletLoss(balance=0)``, to see bits that are always 0 or always 1;
# images and the default convolutional tower instead of flat rows.
