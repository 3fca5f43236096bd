"""Test-time methods: they change only how a trained model is used in a place it has never seen.

Besides view sets: larger inputs, batch-norm statistics mixed with those of the place, and class scores corrected for
the place's class priors. The last two use all images of a test set, but never its masks.

Shape letters: N frames, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from desert_seg.artifact import load_artifact
from desert_seg.decode import probabilities
from desert_seg.network import DeployedNetwork, NetworkConfig
from desert_seg.segmenter import Segmenter, SegmentOptions
from desert_seg_train.folder import SegmentationFolder
from desert_seg_train.saving import save_network
from desert_seg_train.train.start import start_network

OBSTACLES = ("Trees", "Rocks")
"""Classes whose scores a correction may raise but never lower: a robot drives into what it misses."""

MAX_BIAS = 2.0
"""Largest correction in logits, in either direction."""

MIN_SHARE = 1e-4
"""Smallest share of a class, also if it does not occur at all."""

_GRID = 16
"""Stride at which probabilities are sampled."""


@dataclass(frozen=True)
class Way:
    """One way of using a model.

    Attributes:
        views: View set.
        scale: Input size relative to the training's.
        alpha: Share of the place's own batch-norm statistics (Schneider et al., "Improving robustness against common
            corruptions by covariate shift adaptation", 2020).
        priors: Whether class scores are corrected for the place's class priors.
    """

    views: str = "none"
    scale: float = 1.0
    alpha: float = 0.0
    priors: bool = False


WAYS: Mapping[str, Way] = {
    "": Way(),
    "flip": Way("flip"),
    "scales": Way("scales"),
    "full": Way("full"),
    "input_0.7": Way(scale=0.7071),
    "input_1.4": Way(scale=1.4142),
    "alpha_bn_0.1": Way(alpha=0.1),
    "alpha_bn_0.3": Way(alpha=0.3),
    "priors": Way(priors=True),
}
"""Name -> way; the empty one is the plain frame."""


def prepare(
    way: Way, artifact: Path, folder: SegmentationFolder, trained_on: npt.NDArray[np.float64], work: Path
) -> tuple[Segmenter, SegmentOptions]:
    """A model prepared for a way of testing on a test set.

    Args:
        way: The way.
        artifact: The model.
        folder: The test set, of which only the images are used.
        trained_on: K shares of the classes in the training frames.
        work: Folder for the changed model.
    """
    if way.alpha:
        artifact = _with_statistics(artifact, folder, way.alpha, work)
    segmenter = Segmenter.load(artifact, engine="torch", precision="f32")
    bias = _prior_bias(segmenter, folder, trained_on) if way.priors else None
    return segmenter, SegmentOptions(way.views, bias=bias, scale=way.scale)


def class_shares(folder: SegmentationFolder) -> npt.NDArray[np.float64]:
    """K shares of the classes in a labelled folder, none below `MIN_SHARE`."""
    counts = np.sum([folder.class_counts(index) for index in range(len(folder))], axis=0)
    return np.asarray(np.maximum(counts / counts.sum(), MIN_SHARE), np.float64)


def estimate_priors(
    likely: npt.NDArray[np.float64], trained_on: npt.NDArray[np.float64], rounds: int = 50
) -> npt.NDArray[np.float64]:
    """Shares of the classes in a place by expectation maximisation.

    Source: Saerens et al., "Adjusting the outputs of a classifier to new a priori probabilities", 2002.

    Args:
        likely: NxK probabilities by a model.
        trained_on: K shares of the classes it was trained on.
        rounds: Number of iterations.
    """
    shares = trained_on
    for _ in range(rounds):
        weighted = likely * (shares / trained_on)
        shares = (weighted / weighted.sum(1, keepdims=True)).mean(0)
    return shares


def guarded_bias(
    shares: npt.NDArray[np.float64], trained_on: npt.NDArray[np.float64], labels: tuple[str, ...]
) -> npt.NDArray[np.float32]:
    """K values to add to class scores: the log of the ratio, clipped, never lowering an obstacle's score."""
    bias = np.clip(np.log(np.maximum(shares, MIN_SHARE) / trained_on), -MAX_BIAS, MAX_BIAS)
    for name in OBSTACLES:
        bias[labels.index(name)] = max(0.0, bias[labels.index(name)])
    return bias.astype(np.float32)


def _prior_bias(
    segmenter: Segmenter, folder: SegmentationFolder, trained_on: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    likely = []
    for index in range(len(folder)):
        scores = segmenter.score([folder[index].image], SegmentOptions())[0].scores
        size = scores.shape[1] // _GRID, scores.shape[2] // _GRID
        likely.append(probabilities(scores, size, None).reshape(-1, len(scores)))
    shares = estimate_priors(np.concatenate(likely).astype(np.float64), trained_on)
    return guarded_bias(shares, trained_on, segmenter.labels.names)


def _with_statistics(artifact: Path, folder: SegmentationFolder, alpha: float, work: Path) -> Path:
    """The model with (1 - alpha) of its own batch-norm statistics and alpha of the test set's."""
    loaded = load_artifact(artifact)
    config = NetworkConfig(**loaded.card.network)
    network = start_network(config, str(artifact), loaded.card.label_map.labels)
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    own = [(layer.running_mean.clone(), layer.running_var.clone()) for layer in layers]  # type: ignore[union-attr]
    deployed = DeployedNetwork(network)
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over frames
        layer.train()
    segmenter = Segmenter.load(artifact, engine="torch", precision="f32")
    with torch.inference_mode():
        for index in range(0, len(folder) - 1, 2):  # pairs, because one image gives a single value after global pooling
            pair = [folder[index].image, folder[index + 1].image]
            images = [scored.image for scored in segmenter.score(pair, SegmentOptions())]
            deployed(torch.from_numpy(np.stack(images)))
    for layer, (mean, variance) in zip(layers, own, strict=True):
        layer.running_mean = (1 - alpha) * mean + alpha * layer.running_mean  # type: ignore[operator]
        layer.running_var = (1 - alpha) * variance + alpha * layer.running_var  # type: ignore[operator]
    network.eval()
    card = loaded.card
    save_network(work, network, card.name, card.input_size, card.label_map, with_graph=False)
    return work
