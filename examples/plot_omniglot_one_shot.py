"""
Characters of alphabets never seen, from one example each
=========================================================

One-shot learning, the task of Lake, Salakhutdinov & Tenenbaum (2015): here are twenty characters of an
alphabet that you have never seen, each written once, by one person. Another person writes one of them.
Which is it? People err in about one of twenty. Koch, Zemel & Salakhutdinov (2015) let a Siamese network
answer, which learns on other alphabets what makes two drawings the same character.
"""

# %%
# Two sets of alphabets
# ---------------------
# Omniglot has two small sets of five alphabets each, meant for training on little data; every character was
# drawn by twenty people. We train on the first and test on the second. Greek and Latin are in both, with
# the very same drawings, so they must not serve for testing, and Tagalog has fewer than twenty characters:
# Katakana and Sanskrit remain.

import matplotlib.pyplot as plt
import numpy as np
import torch
from gallery_data import omniglot, reduced
from matplotlib.patches import Rectangle
from torch.nn.functional import affine_grid, grid_sample, normalize

from siamese_sklearn import SiamesePairClassifier
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.losses import SupConLoss

X, y, _ = omniglot("small1")
X_new, _, alphabet_new = omniglot("small2")

# %%
# Drawings differ in place and size more than in what matters. As in much of the work on handwriting, each
# is moved so that the centre of its ink is in the middle, and each axis is scaled by how far the ink
# spreads: half by its own spread, half by the larger of both, so that flat characters stay somewhat flat.


def framed(images):
    ink = torch.tensor(images).float()[:, None] / 255  # (n, 1, 28, 28)
    place = (2 * torch.arange(28) + 1) / 28 - 1
    across = ink.sum((1, 2)) / ink.sum((1, 2, 3))[:, None]  # (n, 28)
    down = ink.sum((1, 3)) / ink.sum((1, 2, 3))[:, None]
    centre = torch.stack([across @ place, down @ place], dim=1)  # (n, 2)
    spread = (torch.stack([across @ place**2, down @ place**2], dim=1) - centre**2).relu().sqrt()
    scale = (spread * spread.amax(1, keepdim=True)).sqrt() / 0.4
    matrix = torch.cat([torch.diag_embed(scale.clamp(0.4, 2.5)), centre[:, :, None]], dim=2)
    grid = affine_grid(matrix, list(ink.shape), align_corners=False)
    return grid_sample(ink, grid, align_corners=False).squeeze(1).numpy()


X, X_new = framed(X), framed(X_new)

# %%
# The network
# -----------
# Its tower ends in a map of 3 x 3 places with 128 features each, which is the embedding: what was found,
# and where. The loss, `SupConLoss` (Khosla et al. 2020), compares each drawing of a batch with all others.
# As in its paper, it sees the embedding through one more linear layer, which is part of the loss here, and
# is dropped after training: the layer learns to ignore what the characters of the training set do not need,
# and new characters may need it.


class CharacterTower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for width, size in ((1, 32), (32, 64), (64, 128), (128, 128)):
            layers += [torch.nn.Conv2d(width, size, 3, padding=1, bias=False), torch.nn.BatchNorm2d(size)]
            layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
        self.layers = torch.nn.Sequential(*layers[:-1], torch.nn.Flatten())
        self.to(memory_format=torch.channels_last)

    def forward(self, images):  # (n, 28, 28) -> (n, 128 * 3 * 3)
        return self.layers(images[:, None])


class ProjectedSupCon(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.projection = torch.nn.Linear(1152, 128, bias=False)
        self.loss = SupConLoss().build(n_classes=2, n_components=128)

    def forward(self, embeddings, labels):
        return self.loss(normalize(self.projection(embeddings)), labels)


# %%
# Training
# --------
# 136 characters are few. A character turned by a quarter is as good as another character, which makes four
# times as many classes; and `ImageAugmenter` turns, shears, scales and shifts each drawing anew in every
# epoch.

keep = reduced(len(X), 400)
X_train = np.concatenate([np.rot90(X[:keep], turns, axes=(1, 2)) for turns in range(4)])
y_train = np.concatenate([np.char.add(y[:keep], f", turned {turns} times") for turns in range(4)])
model = SiamesePairClassifier(
    1152,
    tower=CharacterTower(),
    loss=ProjectedSupCon(),
    augment=ImageAugmenter(rotation=15, scale=0.15, shift=0.05, shear=15),
    max_epochs=reduced(30, 1),
    batch_size=128,
    lr=2e-3,
    validation_fraction=0.02,
    random_state=0,
)
model.fit(X_train, y_train)

# %%
# Answers from one example
# ------------------------
# As in the papers, a run takes twenty characters of one alphabet. Those of one person are the references,
# and another person's drawings of the same characters are the queries. `enroll` takes the references in,
# one each, and `predict` answers for each query by itself. Nothing is trained, and the last run's
# references are forgotten.

alphabets = {
    name: X_new[alphabet_new == name].reshape(-1, 20, 28, 28)  # characters, people who drew them
    for name in ("Japanese_(katakana)", "Sanskrit")
}


def one_run(images, rng):
    """The references, the queries, and for each query the number of the reference that was taken for it."""
    characters, people = rng.choice(len(images), 20, replace=False), rng.choice(20, 2, replace=False)
    references, queries = images[characters, people[0]], images[characters, people[1]]
    model.forget(model.classes_).enroll(references, np.arange(20))
    return references, queries, model.predict(queries)


# %%
# Two runs in pictures: under each query the reference that was taken for it, framed where that was wrong.

figure, axes = plt.subplots(2, 1, figsize=(11, 4.4), layout="constrained")
for ax, (name, images) in zip(axes, alphabets.items(), strict=True):
    references, queries, answer = one_run(images, np.random.default_rng(0))
    ax.imshow(-np.block([list(row) for row in (references, queries, references[answer])]), cmap="gray")
    for wrong in np.flatnonzero(answer != np.arange(20)):
        ax.add_patch(Rectangle((28 * wrong, 56), 27, 27, fill=False, edgecolor="tab:red", linewidth=2))
    ax.set(title=name, xticks=[], yticks=[14, 42, 70], yticklabels=["reference", "query", "answer"])
plt.show()

# %%
# The error
# ---------
# A single run of twenty queries says little, so there are 100 for each alphabet, with characters and people
# drawn anew. An error by chance would be 95 %.

rng, n_runs = np.random.default_rng(0), reduced(100, 3)
errors = {
    name: [np.mean(one_run(images, rng)[2] != np.arange(20)) for _ in range(n_runs)]
    for name, images in alphabets.items()
}
for name, error in errors.items():
    scatter = np.std(error) / n_runs**0.5
    print(f"{name:<22} error {np.mean(error):.1%}, standard error over the runs {scatter:.1%}")
print(f"{'both':<22} error {np.mean(list(errors.values())):.1%}")
