"""Two changes of the fp32 weights that keep the model's function and suit int8 better.

Both are folded into the weights, so the int8 forward is the same with and without them.

Rotation: nothing stands between a cross layer's V and W, so V may be R V and W be W R^T for any
orthogonal R. A Hadamard matrix mixes all rows of V and so spreads out large single weights (as
QuaRot does, arXiv 2404.00456).

Column scales: x0 and the cross layers' x may be D x0 and D x for any positive diagonal D when the
tables and the bottom MLP's last layer are scaled by D and the columns of V and of the over arch's
first layer by 1/D (as SmoothQuant does, arXiv 2211.10438). D helps where one column alone decides
how coarsely all its neighbours are rounded.
"""

from __future__ import annotations

import torch

from dlrm_bench.network.dlrm import (
    BOTTOM,
    CROSS_LAYERS,
    DIM,
    RANK,
    WIDTH,
    Weights,
    bottom_name,
    cross_name,
    over_name,
)

#: The layer that loses most by int8: the over arch's first, whose input is the features' 3,456
#: columns. SCALED: the bottom MLP's last layer, whose outputs are the first of these columns.
SENSITIVE = over_name(0)
SCALED = bottom_name(len(BOTTOM) - 2)
STEPS, RATE = 60, 0.06
#: Pairs of one step; each step takes others.
STEP_PAIRS = 512
#: Scales are powers of 2 ** (1 / GRID), so that the last bits of a sum do not reach the file.
GRID = 16
LARGEST = 4.0


def hadamard(size: int) -> torch.Tensor:
    """Orthogonal, entries +-size**-0.5; `size` is a power of two. Sylvester's construction."""
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        top = torch.cat([matrix, matrix], 1)
        matrix = torch.cat([top, torch.cat([matrix, -matrix], 1)])
    return matrix / size**0.5


def rotated(weights: Weights) -> dict[str, torch.Tensor]:
    """The cross net's V and W, rotated; names as in `weights`."""
    rotation = hadamard(RANK).double()
    changed = {}
    for layer in range(CROSS_LAYERS):
        down, up = f"{cross_name('V', layer)}.weight", f"{cross_name('W', layer)}.weight"
        changed[down] = (rotation @ weights[down].double()).float()
        changed[up] = (weights[up].double() @ rotation.t()).float()
    return changed


def scaled(weights: Weights, scales: torch.Tensor) -> dict[str, torch.Tensor]:
    """The layers before and after features scaled by `scales` [3456], without the tables."""
    dense = scales[:DIM]
    changed = {
        f"{SCALED}.weight": weights[f"{SCALED}.weight"] * dense[:, None],
        f"{SCALED}.bias": weights[f"{SCALED}.bias"] * dense,
    }
    for name in (SENSITIVE, *(cross_name("V", layer) for layer in range(CROSS_LAYERS))):
        changed[f"{name}.weight"] = weights[f"{name}.weight"] / scales
    return changed


def per_pair(x: torch.Tensor) -> torch.Tensor:
    """Inputs [pairs, n], each pair scaled to mean square 1, so that no extreme pair decides."""
    return x * x.square().mean(1, keepdim=True).clamp_(min=1e-20).rsqrt_()


def table_scales(scales: torch.Tensor, table: int) -> torch.Tensor:
    """Scales of one table's 128 columns."""
    return scales[DIM * (table + 1) : DIM * (table + 2)]


def column_scales(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Scales [3456] for inputs `x` [pairs, 3456] and the weight [1024, 3456] they meet.

    The two parts of the columns that have activation scales of their own (model._Linear) are
    fitted apart.
    """
    x = per_pair(x)
    parts = (slice(0, DIM), slice(DIM, WIDTH))
    return torch.cat([_part_scales(x[:, part], weight[:, part]) for part in parts])


def _part_scales(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Minimises the expected squared error of x W^T by Adam over the scales' logarithms a.

    Rounding errors are uniform in a step. Of activations: step r / 253 with r a pair's range,
    E[r^2] sum_j c_j / D_j^2, c_j = sum_k W_kj^2. Of weights: step 2 m_k / 254 with m_k a row's
    largest, sum_k (2 m_k)^2 sum_j E[x_j^2] D_j^2. Ranges depend on their ends alone, so a gradient
    has few terms.
    """
    columns = weight.square().sum(0)
    power = x.square().mean(0)
    size = weight.abs()
    log = torch.zeros(x.shape[1])
    first, second = torch.zeros_like(log), torch.zeros_like(log)
    for step in range(1, STEPS + 1):
        scale = log.exp()
        at = step * STEP_PAIRS % max(len(x) - STEP_PAIRS + 1, 1)
        activations, slope = _activation_error(x[at : at + STEP_PAIRS], scale, columns)
        of_weights, weight_slope = _weight_error(size, scale, power)
        share = activations / (activations + of_weights)
        gradient = share * slope + (1 - share) * weight_slope
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient.square()
        move = first / (1 - 0.9**step) / ((second / (1 - 0.99**step)).sqrt() + 1e-12)
        log -= RATE * (1 - step / (STEPS + 1)) * move
    log -= log.mean()
    rounded = torch.round(log / torch.log(torch.tensor(2.0)) * GRID) / GRID
    return torch.exp2(rounded).clamp(1 / LARGEST, LARGEST)


def _at_most(values: torch.Tensor) -> torch.Tensor:
    """Column of each row's largest value; NumPy finds it many times faster than PyTorch."""
    return torch.from_numpy(values.numpy().argmax(1))


def _activation_error(
    x: torch.Tensor, scale: torch.Tensor, columns: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The error, and the gradient of its logarithm by the scales' logarithms."""
    y = x * scale
    at_high, at_low = _at_most(y), _at_most(-y)
    high = y.gather(1, at_high[:, None]).flatten().clamp(min=0)
    low = y.gather(1, at_low[:, None]).flatten().clamp(max=0)
    reach = high - low
    squares = reach.square().sum()
    slope = torch.zeros_like(scale)
    slope.index_add_(0, at_high, 2 * reach * high / squares)
    slope.index_add_(0, at_low, -2 * reach * low / squares)
    spread = columns / scale.square()
    total = spread.sum()
    return squares / len(x) * total, slope - 2 * spread / total


def _weight_error(
    size: torch.Tensor, scale: torch.Tensor, power: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    ratio = size / scale
    at = _at_most(ratio)
    squares = (2 * ratio.gather(1, at[:, None]).flatten()).square()
    total = squares.sum()
    slope = torch.zeros_like(scale)
    slope.index_add_(0, at, -2 * squares / total)
    spread = power * scale.square()
    sum_of = spread.sum()
    return total * sum_of, slope + 2 * spread / sum_of
