"""
Choosing the loss, the margin and the tower
===========================================

The loss, the margin and the network are parameters like any others, so the search tools
of scikit-learn can choose them. Two things are specific to metric learning, and this
example is about them: what the score is, and which rows a fold holds out. If the model
is to recognize people whom it has never seen, choose it on folds of such people.

The data are the AT&T faces, 10 photographs each of 40 people, reduced to 16 x 16 pixels
so that all searches together take only a minute or two.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_olivetti_faces
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    StratifiedKFold,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from siamese_sklearn import MLPTower, SiameseEmbedder
from siamese_sklearn.metrics import map_at_r

faces = fetch_olivetti_faces()
X, y = faces.images.reshape(-1, 16, 4, 16, 4).mean(axis=(2, 4)), faces.target
X = X.reshape(len(X), -1)  # 256 means of 4 x 4 pixels

# %%
# Known people
# ------------
# The score of a `SiameseEmbedder` is MAP@R (Musgrave, Belongie & Lim 2020): each
# held-out row searches the other held-out rows for those of its class, and 1 means that
# the nearest ones are exactly those. The search needs no scorer, but it needs
# stratified folds: scikit-learn stratifies by default for classifiers only, and an
# embedder is a transformer.
#
# A loss without a margin would ignore it, so a grid over both always runs.

grid = {"loss": ["contrastive", "triplet"], "margin": [0.2, 0.5, 1.0, 1.5]}
embedder = SiameseEmbedder(max_epochs=20, random_state=0)
folds = StratifiedKFold(5, shuffle=True, random_state=0)
known = GridSearchCV(embedder, grid, cv=folds).fit(X, y)
print(f"known people: {known.best_params_}, MAP@R {known.best_score_:.3f}")

# %%
# New people
# ----------
# `GroupKFold` with ``groups=y`` holds out whole classes: in each fold eight of the
# forty people, of whom training sees no photograph.

folds_of_people = GroupKFold(5, shuffle=True, random_state=0)
new = GridSearchCV(embedder, grid, cv=folds_of_people).fit(X, y, groups=y)
print(f"new people:   {new.best_params_}, MAP@R {new.best_score_:.3f}")

# %%
# The two scores belong to two different tasks: finding one other photograph among 79,
# and finding nine among 79. So do not compare them with each other. Compare candidates
# within a task, and each task with the same task on the pixels.


def score_of_pixels(splits):
    """MAP@R of the pixels themselves on the same held-out rows."""
    return np.mean([map_at_r(X[held_out], y[held_out]) for _, held_out in splits])


def draw(search, pixels, title, ax):
    results = search.cv_results_
    for loss, marker in zip(grid["loss"], "os", strict=True):
        rows = results["param_loss"] == loss
        ax.errorbar(
            results["param_margin"][rows].astype(float),
            results["mean_test_score"][rows],
            results["std_test_score"][rows],
            marker=marker,
            capsize=3,
            label=loss,
        )
    ax.axhline(pixels, color="gray", linestyle="--", label="pixels, not trained")
    ax.set(
        title=title, xlabel="margin (of distances; of squared distances for triplet)"
    )


pixels_known = score_of_pixels(folds.split(X, y))
pixels_new = score_of_pixels(folds_of_people.split(X, y, groups=y))
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
draw(known, pixels_known, "Held-out photographs of known people", axes[0])
draw(new, pixels_new, "Photographs of held-out people", axes[1])
axes[0].set_ylabel("MAP@R, mean and deviation over folds")
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3)

# %%
# The same candidates lead both times, but the weak ones fail differently. The
# contrastive loss with a margin of 0.2 is well above the pixels for known people, and
# no better than the pixels for new ones. Folds of known people would not have shown
# that.
#
# The winner's score is slightly optimistic, because it is the best of eight: keep some
# rows, or people, for a final test. To use several cores, set ``n_jobs`` in the search
# and ``n_threads=1`` in the embedder.

# %%
# Many candidates, little time
# ----------------------------
# Successive halving (Jamieson & Talwalkar 2016) gives all candidates a few epochs, the
# better third three times as many, and so on. The resource is the embedder's own
# ``max_epochs``. Here the embedder is part of a pipeline that ends in a classifier, so
# the score is the accuracy of that classifier, and the parameter names start with the
# name of the step. The tower is a spec, so the search reaches its layers.

pipeline = make_pipeline(
    PCA(64, random_state=0),
    SiameseEmbedder(tower=MLPTower(), random_state=0),
    KNeighborsClassifier(1),
)
towers = {"siameseembedder__tower__hidden_layer_sizes": [(), (512,), (256, 256)]}
losses_with_margin = {
    "siameseembedder__loss": ["contrastive", "triplet"],
    "siameseembedder__margin": [0.5, 1.0],
}
losses_without = {"siameseembedder__loss": ["supcon", "n_pairs"]}
halving = HalvingGridSearchCV(
    pipeline,
    [losses_with_margin | towers, losses_without | towers],
    resource="siameseembedder__max_epochs",
    min_resources=3,
    max_resources=27,
    factor=3,
    cv=5,
    random_state=0,
).fit(X, y)
print(f"halving: candidates {halving.n_candidates_} at epochs {halving.n_resources_}")
print(f"best: accuracy {halving.best_score_:.3f}")
for name, value in halving.best_params_.items():
    print(f"    {name}: {value}")

# %%
# Each line is a candidate, in the color of its loss. It ends where the candidate is
# dropped.

rungs = {}
results = halving.cv_results_
for params, score in zip(results["params"], results["mean_test_score"], strict=True):
    epochs, loss = (
        params.pop("siameseembedder__max_epochs"),
        params["siameseembedder__loss"],
    )
    rungs.setdefault((loss, str(params)), []).append((epochs, score))

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
colors = {
    "contrastive": "#0072B2",
    "triplet": "#D55E00",
    "supcon": "#009E73",
    "n_pairs": "#CC79A7",
}
for (loss, _), points in rungs.items():
    ax.plot(*zip(*points, strict=True), marker="o", alpha=0.7, color=colors[loss])
for loss, color in colors.items():
    ax.plot([], [], color=color, label=loss)
ax.set_xscale("log")
ax.set_xticks(halving.n_resources_, halving.n_resources_, minor=False)
ax.minorticks_off()
ax.set(xlabel="epochs", ylabel="accuracy of the nearest neighbor")
ax.set_title("Successive halving")
ax.legend()
plt.show()
