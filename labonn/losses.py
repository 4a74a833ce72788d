"""Losses of measured outputs: softmax cross-entropy of every image in every setting, and its derivative."""

from __future__ import annotations

import numpy as np

from labonn.channels import Floats
from labonn.shots import Ints


def cross_entropy(outputs: Floats, labels: Ints, scale: float = 1.0) -> Floats:
    """(…, B) losses -ln softmax(scale x outputs)[label], in the dtype of the outputs; finite for any finite outputs, NaN for NaN.

    Args:
        outputs: (…, B, C) fields. labels: (B,) classes. scale: logits a unit of output.
    """
    logits = _over_label(outputs, labels, scale)
    with np.errstate(over="ignore"):
        losses = np.log(np.exp(logits, out=logits) @ np.ones(logits.shape[-1], logits.dtype))
    overflown = np.isinf(losses)
    if overflown.any():
        rows = _over_label(outputs, labels, scale)[overflown]
        top = rows.max(axis=-1, keepdims=True)
        losses[overflown] = top[:, 0] + np.log(np.sum(np.exp(rows - top), axis=-1))
    return np.asarray(losses)


def cross_entropy_slope(outputs: Floats, labels: Ints, scale: float = 1.0) -> Floats:
    """(…, B, C) derivative of every image's loss by its own outputs: scale x (softmax - one-hot)."""
    shares = outputs * outputs.dtype.type(scale)
    shares -= shares.max(axis=-1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=-1, keepdims=True)
    shares[..., np.arange(len(labels)), labels] -= 1
    shares *= shares.dtype.type(scale)
    return np.asarray(shares)


def _over_label(outputs: Floats, labels: Ints, scale: float) -> Floats:
    """Logits minus that of the label, so that losses near 0 keep their digits."""
    logits = outputs - outputs[..., np.arange(len(labels)), labels][..., None]
    logits *= logits.dtype.type(scale)
    return np.asarray(logits)

