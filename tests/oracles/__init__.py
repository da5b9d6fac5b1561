"""What every loss of the registry is worth by loops over Python's floats, independent
of the package.

`ORACLES` has a row for each loss: name -> (oracle, parameter sets to try), of which
each set has active and inactive terms. An oracle is a dict of functions that return
(value, number of active terms):

- ``oracle["labels"](embeddings, labels, weights, **params)`` of a batch;
- for losses that take given pairs and triplets,
  ``oracle["pairs"](left, right, same, weights, **params)`` and
  ``oracle["triplets"](anchor, positive, negative, weights, **params)``.

Embeddings are float64 Tensors (B, d), `labels` and `same` lists of int, `weights` the
built module's own parameters by name, `params` those of the spec.
"""

from oracles import batch, hamming, logit, pair, proxy, triplet

MODULES = (pair, triplet, hamming, batch, proxy, logit)
ORACLES = {name: row for module in MODULES for name, row in module.ORACLES.items()}
