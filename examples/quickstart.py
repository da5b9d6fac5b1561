"""Quick start: neighbors, retrieval, verification and a map of handwritten digits.

Needs only the package and matplotlib, and takes well under a minute on two cores.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from siamese_sklearn import SiameseEmbedder
from siamese_sklearn.metrics import eer, map_at_r, pair_scores, recall_at_k, tar_at_far

matplotlib.use("Agg")  # draws to a file, without a window
import matplotlib.pyplot as plt

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)

print("1. A pipeline: scale, embed, classify by neighbors")
raw = make_pipeline(StandardScaler(), KNeighborsClassifier())
model = make_pipeline(
    StandardScaler(), SiameseEmbedder(random_state=0, verbose=1), KNeighborsClassifier()
)
model.fit(X_train, y_train)
raw.fit(X_train, y_train)
print(f"   accuracy of 5 neighbors: {model.score(X_test, y_test):.3f}")
print(f"   the same on the pixels:  {raw.score(X_test, y_test):.3f}\n")

print("2. GridSearchCV over loss and margin, with no scorer: the score is MAP@R")
search = GridSearchCV(
    SiameseEmbedder(max_epochs=15, n_threads=1, random_state=0),
    {"loss": ["contrastive", "triplet"], "margin": [0.2, 0.5, 1.0]},
    cv=StratifiedKFold(3),
    n_jobs=2,
    verbose=1,
).fit(X_train, y_train)
results = search.cv_results_
for params, score in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"   {params['loss']:>11}, margin {params['margin']}: MAP@R {score:.3f}")
print(f"   best: {search.best_params_}\n")

print("3. Retrieval: each test digit searches all the others")
Z_test = search.transform(X_test)
for name, rows in {"pixels": X_test, "embedding": Z_test}.items():
    map_r, recall = map_at_r(rows, y_test), recall_at_k(rows, y_test, k=1)
    print(f"   {name:>9}: MAP@R {map_r:.3f}, recall@1 {recall:.3f}")

print("\n4. Verification: do these two images show the same digit?")
for name, rows in {"pixels": X_test, "embedding": Z_test}.items():
    same, score = pair_scores(rows, y_test)
    print(
        f"   {name:>9}: AUC {roc_auc_score(same, score):.4f}, "
        f"equal error rate {eer(same, score):.2%}, "
        f"true accepts at 1% false accepts {tar_at_far(same, score, far=0.01):.2%}"
    )

print(
    "\n5. A picture: PCA of the pixels, and a 2-D embedding learned on training digits"
)
planar = SiameseEmbedder(
    n_components=2,
    loss="contrastive",
    margin=1.0,
    normalize=False,
    random_state=0,
    verbose=1,
).fit(X_train, y_train)
maps = {
    "Pixels: two principal components": PCA(2, random_state=0).fit_transform(X_test),
    "Siamese embedding with n_components=2": planar.transform(X_test),
}
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, (title, points) in zip(axes, maps.items(), strict=True):
    for digit in np.unique(y_test):
        ax.scatter(*points[y_test == digit].T, s=40, marker=f"${digit}$")
    ax.set(title=f"{title} (test digits)", xticks=[], yticks=[])
path = Path(__file__).with_name("quickstart.png")
figure.savefig(path, dpi=120)
print(f"   written to {path.name}, next to this script")
