"""Hoffer & Ailon's triplet network on MNIST: their loss, the built-in CNN, and
neighbors in its embedding.

Run: python tests/benchmarks/triplet_network.py. Needs the data folder. As in the paper
the embeddings are not of unit norm: the loss is a softmax of distances, which on the
unit sphere cannot become small.
"""

from __future__ import annotations

import torch
from sklearn.neighbors import KNeighborsClassifier
from verification import falling, images

from siamese_sklearn import SiameseEmbedder


def main() -> None:
    torch.set_num_threads(1)
    data = images("mnist.npz")
    print("| MNIST, CNN, 8 epochs | 5-NN accuracy |\n|---|---|")
    for normalize in (True, False):
        embedder = SiameseEmbedder(
            n_components=32,
            loss="triplet_ratio",
            normalize=normalize,
            max_epochs=8,
            batch_size=128,
            lr=2e-3,
            callbacks=falling(8),
            device="cpu",
            random_state=0,
        ).fit(data["X_train"], data["y_train"])
        neighbors = KNeighborsClassifier(algorithm="brute")
        neighbors.fit(embedder.transform(data["X_train"]), data["y_train"])
        accuracy = neighbors.score(embedder.transform(data["X_test"]), data["y_test"])
        print(f"| triplet_ratio, normalize={normalize} | {accuracy:.4f} |", flush=True)


if __name__ == "__main__":
    main()
