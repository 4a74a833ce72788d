"""Convolutions by light: patches of images as shots through one matrix, with cells behind it, and the gradient of that matrix."""

from labonn.convolution.beams import measure_beams
from labonn.convolution.comparing import Compared, compare, cosine, relative_rms, twin_gradient, twin_outputs
from labonn.convolution.figures import convolution_figure
from labonn.convolution.hybrid import POOLS, Gradient, Hybrid
from labonn.convolution.matrixbench import Behind, Learnt, MatrixBench, Setting, through
from labonn.convolution.patches import Distinct, distinct, fold, gathered, mean_pool, pool_matrix, spots, spread_mean, unfold
from labonn.convolution.stages import Stage, bench_sizes, check_bench, relay, stages_of

__all__ = [
    "POOLS",
    "Behind",
    "Compared",
    "Distinct",
    "Gradient",
    "Hybrid",
    "Learnt",
    "MatrixBench",
    "Setting",
    "Stage",
    "bench_sizes",
    "check_bench",
    "compare",
    "convolution_figure",
    "cosine",
    "distinct",
    "fold",
    "gathered",
    "mean_pool",
    "measure_beams",
    "pool_matrix",
    "relative_rms",
    "relay",
    "spots",
    "spread_mean",
    "stages_of",
    "through",
    "twin_gradient",
    "twin_outputs",
    "unfold",
]
