"""
Are these two photographs of one person?
========================================

Face verification, the task for which Chopra, Hadsell & LeCun (2005) trained a convolutional Siamese
network: decide whether two photographs show the same person, where neither photograph nor person was seen
in training. Their loss, here ``loss="exponential"``, pulls the photographs of one person together in
proportion to the square of the distance, and pushes those of two people apart with a force that falls
exponentially and never ends, so that it needs no margin.
"""

# %%
# The photographs
# ---------------
# The AT&T faces are 40 people with ten photographs each. As in the paper, 35 people train and the five
# others test, so people are disjoint. Each photograph is halved in size, and its brightness and contrast
# are made the same.

import matplotlib.pyplot as plt
import numpy as np
from gallery_data import faces, reduced
from scipy.stats import norm
from sklearn.metrics import DetCurveDisplay

from siamese_sklearn import Pairs, SiamesePairClassifier
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.metrics import tar_at_far

photographs, person = faces()
X = photographs.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4)).astype(np.float32)
X = (X - X.mean(axis=(1, 2), keepdims=True)) / X.std(axis=(1, 2), keepdims=True)
number = np.arange(400) % 10  # of the photograph of its person

folds = np.random.RandomState(0).permutation(40).reshape(8, 5)[: reduced(3, 1)]

# %%
# Training and testing
# --------------------
# 350 photographs are few for a network, so every batch sees them turned, shifted, stretched, mirrored,
# relit, and with a patch painted over. Unlike the paper, ``mining="hard"`` takes for each photograph only
# the least similar one of the same person and the most similar one of another in the batch: most pairs are
# easy, and in a mean over all of them they drown the others. Then each fold is asked two questions:
#
# - **Pairs.** All pairs of the 50 test photographs: 225 of one person, 1000 of two.
# - **People.** Five photographs of each test person are enrolled, with no training. Each of the other five
#   claims to be each of the five people, and the most similar enrolled photograph decides. This is nearer to
#   the paper, which compared a photograph with a model of a person made of that person's first five.

model = SiamesePairClassifier(
    loss="exponential",
    mining="hard",
    augment=ImageAugmenter(stretch=0.12, flip=True, contrast=0.2, brightness=0.5, erase=0.25),
    max_epochs=reduced(120, 2),
    lr=1e-3,
    validation_fraction=0.03,
    random_state=0,
)


def compare_pairs(X_test, who):
    left, right = np.triu_indices(len(who), 1)
    return who[left] == who[right], model.pair_score(Pairs(X_test[left], X_test[right]))


def compare_people(X_test, who, first):
    model.forget(model.classes_).enroll(X_test[first], who[first])
    same = who[~first, None] == model.classes_
    return same.ravel(), model.decision_function(X_test[~first]).ravel()


answers = {"pairs": [], "people": []}
for people in folds:
    test = np.isin(person, people)
    model.fit(X[~test], person[~test])
    answers["pairs"].append(compare_pairs(X[test], person[test]))
    answers["people"].append(compare_people(X[test], person[test], number[test] < 5))

# %%
# The rates
# ---------
# A threshold trades false accepts (strangers let in) for false rejects (the right person sent away). The
# table has the share of false rejects where at most 10, 7.5 and 5 % of strangers are accepted, beside those
# usually quoted for the paper.

FAR = (0.1, 0.075, 0.05)


def print_row(name, rates):
    print(f"{name:<34}" + "".join(f"{rate:>8.1%}" for rate in rates))


print_row("false rejects at false accepts of", FAR)
for kind, folds_of_kind in answers.items():
    rates = [[1 - tar_at_far(*answer, far=far) for far in FAR] for answer in folds_of_kind]
    for fold, rates_of_fold in enumerate(rates):
        print_row(f"{kind}, fold {fold}", rates_of_fold)
    print_row(f"{kind}, mean", np.mean(rates, axis=0))
print_row("Chopra et al. 2005, as quoted", (0, 0.01, 0.01))

# %%
# Read them with care. Five people are a small test: with 25 photographs to recognise, each one missed
# counts as 4 % in "people", and the folds differ by more than most methods do. Over all eight folds of the
# 40 people, of which three are shown here to save time, the means for people were 2.0, 3.5 and 4.0 % in one
# run, behind the figures quoted. Pairs of two photographs are harder: 9.7, 11.6 and 14.8 %. A network made
# for faces, under a loss of today, does better (see the benchmarks).

# %%
# The whole trade-off is the detection error curve, on axes on which normally distributed scores give
# straight lines. Dotted lines mark the three rates of false accepts.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained", sharey=True)
for ax, (kind, folds_of_kind) in zip(axes, answers.items(), strict=True):
    for fold, (same, score) in enumerate(folds_of_kind):
        DetCurveDisplay.from_predictions(same, score, name=f"fold {fold}", ax=ax)
    for far in FAR:
        ax.axvline(norm.ppf(far), color="gray", linestyle=":", linewidth=1)
    ax.set(title=f"People never seen: {kind}", xlabel="false accepts", ylabel="false rejects")
plt.show()

# %%
# To go on: leave out ``mining`` or ``augment``, try another loss such as ``"supcon"``, or set a threshold
# for a purpose with ``model.calibrate_threshold(pairs, same, strategy="far", target=0.05)``.
#
# References
# ----------
# Chopra, Hadsell & LeCun, "Learning a Similarity Metric Discriminatively, with Application to Face
# Verification", CVPR 2005.
