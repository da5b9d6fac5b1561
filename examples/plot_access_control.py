"""
Access control with three pictures per person
=============================================

A door opens for a few people, each of whom has left three pictures. People come and go,
and strangers try the door. A classifier with one output per person would have to be
retrained after every change, on far too few pictures. A Siamese network learns once,
from other people, whether two pictures show the same face (Chopra, Hadsell & LeCun,
"Learning a Similarity Metric Discriminatively, with Application to Face Verification",
CVPR 2005). From then on, adding a person means adding a few pictures to a gallery.

The faces are those of AT&T Laboratories Cambridge: 40 people, 10 pictures each (Samaria
& Harter 1994).
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_olivetti_faces

from siamese_sklearn import SiamesePairClassifier
from siamese_sklearn.augmentation import ImageAugmenter

# %%
# Four groups of people
# ---------------------
#
# We train on 24 people, set the threshold with 6, and let 7 in; the other 3 are
# strangers. Nobody is in two groups, because the error rates would then be those of
# faces that the network knows. Each picture is reduced to 32 x 32 pixels and scaled to
# mean 0 and standard deviation 1, so that lighting matters less.

faces = fetch_olivetti_faces()
names = np.char.add("person ", faces.target.astype(str))
X = faces.images.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
X = (X - X.mean(axis=(1, 2), keepdims=True)) / X.std(axis=(1, 2), keepdims=True)

shuffled = np.random.default_rng(0).permutation(np.unique(names))
train, calibrate, inside, strangers = np.split(shuffled, [24, 30, 37])


def rows_of(people):
    return np.flatnonzero(np.isin(names, people))


# %%
# Learn what makes two pictures one person
# ----------------------------------------
#
# The supervised contrastive loss (Khosla et al. 2020) uses every pair in a batch. With
# ten pictures per person, augmentation matters: it rotates, shifts, mirrors and
# relights the pictures, and covers parts of them.

clf = SiamesePairClassifier(
    loss="supcon",
    augment=ImageAugmenter(flip=True, contrast=0.2, brightness=0.5, erase=0.25),
    max_epochs=160,
    lr=1e-3,
    validation_fraction=0.05,
    unknown_label="stranger",
    random_state=0,
).fit(X[rows_of(train)], names[rows_of(train)])

# %%
# Enroll
# ------
#
# The training people leave the gallery and seven others enter it, without any training.

references = rows_of(inside)[rows_of(inside) % 10 < 3]
clf.forget(clf.classes_).enroll(X[references], names[references])
print(clf.classes_)

# %%
# Choose how often a stranger may get in
# --------------------------------------
#
# `calibrate_threshold` with ``strategy="fpir"`` takes the false-positive identification
# rate: how often a stranger may be named as somebody. The six people kept for
# calibration are not enrolled, so they are strangers. Their 60 pictures are searched
# for among the 21 references, and at most 6 of them may be named. The searches are
# repeated whenever somebody is enrolled or forgotten, so that the rate stays.

clf.calibrate_threshold(
    X[rows_of(calibrate)], names[rows_of(calibrate)], strategy="fpir", target=0.1
)
print(f"a picture is named from a score of {clf.identification_threshold_:.3f}")

# %%
# At the door
# -----------
#
# `predict` returns the person with the most similar picture, or `unknown_label` if none
# is similar enough.

probes, visitors = np.setdiff1d(rows_of(inside), references), rows_of(strangers)
answer, answer_to_strangers = clf.predict(X[probes]), clf.predict(X[visitors])
recognized = np.mean(answer == names[probes])
mistaken_for_stranger = np.mean(answer == "stranger")
turned_away = np.mean(answer_to_strangers == "stranger")
print(f"let in under their own name: {recognized:.0%} of {len(probes)} pictures")
print(f"taken for a stranger:        {mistaken_for_stranger:.0%}")
print(f"strangers turned away:       {turned_away:.0%} of {len(visitors)} pictures")

# %%
# Someone who leaves is forgotten, and from then on is a stranger.

leaver = inside[0]
pictures = X[probes[names[probes] == leaver]]
print(f"{leaver}:\n{clf.predict(pictures)}")
print(f"{leaver}, once forgotten:\n{clf.forget(leaver).predict(pictures)}")

# %%
# How certain are these figures?
# ------------------------------
#
# Ten people are few. Because enrollment costs nothing, we repeat the trial 50 times,
# each time letting in a different seven of them, with different pictures. Pictures of
# the same person are not independent, so rates that are measured on six people are
# rough: the one that we find is not exactly the one that we asked for. The curves show
# all other thresholds. More pictures of each person, and more people to train and
# calibrate on, would move the two curves apart.

thresholds = np.linspace(-1, 0, 101)
rng, others = np.random.default_rng(0), [*inside, *strangers]
curves, calibrated = [], []
for _ in range(50):
    enrolled = rng.permutation(others)[:7]
    chosen = np.concatenate(
        [rng.choice(rows_of([person]), 3, replace=False) for person in enrolled]
    )
    rows = np.setdiff1d(rows_of(others), chosen)
    clf.forget(clf.classes_).enroll(X[chosen], names[chosen])
    calibrated.append(clf.identification_threshold_)
    scores = clf.decision_function(X[rows])  # (rows, people enrolled)
    passes = scores.max(axis=1)[:, None] >= thresholds
    is_right = clf.classes_[scores.argmax(axis=1)] == names[rows]
    is_inside = np.isin(names[rows], enrolled)
    let_in = (passes & is_right[:, None])[is_inside].mean(axis=0)
    curves.append([passes[~is_inside].mean(axis=0), 1 - let_in])
false_accepts, false_rejects = np.mean(curves, axis=0)
at = np.searchsorted(thresholds, np.mean(calibrated))
print(f"strangers let in: {false_accepts[at]:.1%}")
print(f"people not let in: {false_rejects[at]:.1%}")

# %%
# What happens at the door
# ------------------------
#
# Below the curves are some visitors of the first trial, with the answer in parentheses.

figure = plt.figure(figsize=(10, 6.5), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[3, 2])
ax = top.subplots()
ax.plot(thresholds, false_accepts, color="C1", linestyle="--", label="strangers let in")
ax.plot(thresholds, false_rejects, color="C0", label="people turned away or confused")
ax.axvline(thresholds[at], color="0.4", linestyle=":", label="calibrated threshold")
ax.set(xlabel="threshold on the score", ylabel="rate", ylim=(0, 1))
ax.legend(loc="center left")
rows = np.concatenate([probes[::5], visitors[::5]])
answers = np.concatenate([answer[::5], answer_to_strangers[::5]])
for ax, row, said in zip(bottom.subplots(2, 8).flat, rows, answers, strict=True):
    truth = names[row] if names[row] in inside else "stranger"
    ax.imshow(faces.images[row], cmap="gray")
    ax.set(xticks=[], yticks=[])
    ax.set_title(
        f"{truth}\n({said})", fontsize=8, color="C0" if said == truth else "C1"
    )
plt.show()
