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

from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_olivetti_faces

from siamese_sklearn import SiamesePairClassifier
from siamese_sklearn.augmentation import ImageAugmenter
from siamese_sklearn.plotting import OpenSetDisplay

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
# `predict` returns the person whose pictures are most similar, or `unknown_label` if
# nobody's are similar enough.

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
# Pictures of the same person are not independent, so rates that are measured on six
# people are rough. ``threshold_report_`` says how rough: the interval is that of the
# true rate. With ``confidence=0.95``, `calibrate_threshold` would choose a threshold
# that keeps the target with that confidence, but six people cannot show it.

print(clf.threshold_report_)
try:
    clf.calibrate_threshold(
        X[rows_of(calibrate)],
        names[rows_of(calibrate)],
        strategy="fpir",
        target=0.1,
        confidence=0.95,
    )
except ValueError as error:
    print(fill(str(error), 80))

# %%
# What happens at the door
# ------------------------
#
# To use every picture twice, we now let all ten in. Where everybody is enrolled,
# `OpenSetDisplay` also searches for each picture among the other nine people, as a
# stranger's. The curve shows all thresholds, and the mark the calibrated one, which has
# followed the gallery. More pictures of each person, and more people to train on, would
# move the curve down. Below it are some visitors of before, with the answer in
# parentheses.

tested = rows_of([*inside, *strangers])
is_reference = tested % 10 < 3
clf.forget(clf.classes_).enroll(X[tested[is_reference]], names[tested[is_reference]])

figure = plt.figure(figsize=(10, 6.5), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[3, 2])
searches = tested[~is_reference]
OpenSetDisplay.from_estimator(clf, X[searches], names[searches], ax=top.subplots())
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
