"""
Choosing loss, margin and tower
===============================

Loss, margin and network are parameters like any others, so the searches of scikit-learn choose them. Two
things are particular to metric learning, and this example is about them: what the score is, and which rows a
fold holds out. To recognise people whom the network has never seen, choose on folds of such people.

The data are the AT&T faces, 10 photographs of each of 40 people, made small (16 x 16 pixels) so that all
searches together take a minute or two.
"""

import matplotlib.pyplot as plt
import numpy as np
from gallery_data import faces, reduced
from sklearn.decomposition import PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, GroupKFold, HalvingGridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from siamese_sklearn import MLPTower, SiameseEmbedder
from siamese_sklearn.metrics import map_at_r

images, y = faces()
X = images.reshape(-1, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(len(images), -1)  # means of 4 x 4 pixels
X, y = X[y < reduced(40, 12)], y[y < reduced(40, 12)]

# %%
# People who are known
# --------------------
# The score of a `SiameseEmbedder` is MAP@R (Musgrave, Belongie & Lim 2020): each held-out row searches the
# other ones for rows of its class; 1 means that the nearest ones are exactly those. No scorer is needed, but
# folds have to be asked for: scikit-learn stratifies for classifiers only, and an embedder is a transformer.
#
# A loss without a margin would leave that unused, so a grid over both always runs.

grid = {"loss": ["contrastive", "triplet"], "margin": reduced([0.2, 0.5, 1.0, 1.5], [0.5, 1.0])}
embedder = SiameseEmbedder(max_epochs=reduced(20, 1), random_state=0)
folds = StratifiedKFold(reduced(5, 2), shuffle=True, random_state=0)
known = GridSearchCV(embedder, grid, cv=folds).fit(X, y)
print(f"known people:   {known.best_params_}, MAP@R {known.best_score_:.3f}")

# %%
# People who are new
# ------------------
# ``groups=y`` with `GroupKFold` holds out whole classes: eight of the forty people a fold, of whom training
# sees not one photograph.

folds_of_people = GroupKFold(reduced(5, 2), shuffle=True, random_state=0)
new = GridSearchCV(embedder, grid, cv=folds_of_people).fit(X, y, groups=y)
print(f"unknown people: {new.best_params_}, MAP@R {new.best_score_:.3f}")

# %%
# The two levels are those of two different tasks (one other photograph to find among 79, or nine among 79),
# so one does not compare them with each other but with the same task on the pixels, and candidates within a
# task.


def of_pixels(splits):
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
    ax.set(title=title, xlabel="margin (of distances, of squared ones under triplet)")


figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
draw(known, of_pixels(folds.split(X, y)), "Held-out photographs of known people", axes[0])
draw(new, of_pixels(folds_of_people.split(X, y, groups=y)), "Photographs of held-out people", axes[1])
axes[0].set_ylabel("MAP@R, mean and deviation of folds")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %%
# The same candidates lead both times, but the weak ones fail differently. The contrastive loss with a margin
# of 0.2 is well above the pixels for known people, and no better than them for new ones. Folds of known
# people would not have told.
#
# The winner's score is a little too good, because it is the best of eight: keep rows, or people, aside for a
# last look. To use several cores, give the search ``n_jobs`` and the embedder ``n_threads=1``.

# %%
# Many candidates, little time
# ----------------------------
# Successive halving (Jamieson & Talwalkar 2016) gives all candidates a few epochs, and more of them only to
# the better third, again and again: the resource is the embedder's own ``max_epochs``. Here the embedder
# stands in a Pipeline before a classifier, whose accuracy is the score, and the names of its parameters
# have the step in front; a tower that is a spec is searched to its layers.

pipeline = make_pipeline(
    PCA(reduced(64, 16), random_state=0),
    SiameseEmbedder(tower=MLPTower(), random_state=0),
    KNeighborsClassifier(1),
)
towers = {"siameseembedder__tower__hidden_layer_sizes": reduced([(), (512,), (256, 256)], [(512,)])}
losses_with_margin = {
    "siameseembedder__loss": ["contrastive", "triplet"],
    "siameseembedder__margin": [0.5, 1.0],
}
losses_without = {"siameseembedder__loss": ["supcon", "n_pairs"]}
halving = HalvingGridSearchCV(
    pipeline,
    [losses_with_margin | towers, losses_without | towers],
    resource="siameseembedder__max_epochs",
    min_resources=reduced(3, 1),
    max_resources=reduced(27, 3),
    factor=3,
    cv=reduced(5, 2),
    random_state=0,
).fit(X, y)
print(f"halving: candidates {halving.n_candidates_} at epochs {halving.n_resources_}")
print(f"best: accuracy {halving.best_score_:.3f}")
for name, value in halving.best_params_.items():
    print(f"    {name}: {value}")

# %%
# Each line is a candidate, in the colour of its loss, as long as it lasts.

rungs = {}
for params, score in zip(halving.cv_results_["params"], halving.cv_results_["mean_test_score"], strict=True):
    epochs, loss = params.pop("siameseembedder__max_epochs"), params["siameseembedder__loss"]
    rungs.setdefault((loss, str(params)), []).append((epochs, score))

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
colours = {"contrastive": "#0072B2", "triplet": "#D55E00", "supcon": "#009E73", "n_pairs": "#CC79A7"}
for (loss, _), points in rungs.items():
    ax.plot(*zip(*points, strict=True), marker="o", alpha=0.7, color=colours[loss])
for loss, colour in colours.items():
    ax.plot([], [], color=colour, label=loss)
ax.set_xscale("log")
ax.set_xticks(halving.n_resources_, halving.n_resources_, minor=False)
ax.minorticks_off()
ax.set(xlabel="epochs", ylabel="accuracy of the nearest neighbour", title="Successive halving")
ax.legend()
plt.show()
