"""Linear heads of `PairedHead` learned by gradient descent. torch is imported at the first call of `fit_sgd_heads`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codebooks.embeddings._head_closed_form import Groups

__all__ = ["TEMPERATURES", "Settings", "draw_batches", "fit_sgd_heads"]

TEMPERATURES = {"marginal": 0.07, "simcse": 0.05, "barlow": 1.0}  # "barlow" does not use it
# Largest number of rows of one group that a batch takes together.
_BAG = 8
# Smallest last batch of an epoch; smaller ones are skipped, because their statistics are too noisy.
_LEAST = 4


class Settings(NamedTuple):
    """Parameters of the gradient descent, as documented in `PairedHead`."""

    objective: str
    n_components: int | None
    residual: bool
    temperature: float
    redundancy: float
    decay: float
    learning_rate: float
    batch_size: int
    max_iter: int


def fit_sgd_heads(X: NDArray, groups: Groups, settings: Settings, seed: int) -> Iterator[tuple[NDArray, float]]:
    """Yield the weights of the head after each epoch, and the mean loss of its batches.

    The head is linear, `z = W x` or, with the residual path, `z = x + W x` with W starting at zero. A batch consists of
    small bags, each of about 8 rows of one group, so that it contains other rows of the group of each row.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Embeddings of mean length 1, so that the parameters have the same effect for all encoders.
    groups : ndarray of shape (n_samples,) of int
    settings : Settings
    seed : int

    Yields
    ------
    head : ndarray of shape (n_components or n_features, n_features), float64
    loss : float

    Raises
    ------
    ImportError
        torch is not installed.
    """
    torch = _import_torch()
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    rows = torch.as_tensor(np.ascontiguousarray(X, dtype=np.float32))
    n_features = X.shape[1]
    n_out = settings.n_components or n_features
    residual = settings.residual and n_out == n_features
    weights = torch.zeros(n_out, n_features)
    if not residual:
        torch.nn.init.orthogonal_(weights, generator=generator)
    start = weights.clone()
    weights.requires_grad_()
    identity = torch.eye(n_features) if residual else 0.0
    optimizer = torch.optim.Adam([weights], lr=settings.learning_rate)
    compute_loss = _define_losses(torch)[settings.objective]
    group_of = torch.as_tensor(np.ascontiguousarray(groups))
    for _ in range(settings.max_iter):
        losses = []
        for first, second in draw_batches(groups, settings.batch_size, rng):
            optimizer.zero_grad()
            head = weights + identity
            loss = compute_loss(rows[first] @ head.T, rows[second] @ head.T, group_of[first], settings)
            (loss + settings.decay * ((weights - start) ** 2).sum()).backward()
            optimizer.step()
            losses.append(loss.item())
        head = (weights + identity).detach().numpy().astype(np.float64)
        yield head, float(np.mean(losses)) if losses else np.nan


def draw_batches(groups: Groups, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[NDArray, NDArray]]:
    """Yield the batches of one epoch: row indices, and for each the index of another row of its group.

    Examples
    --------
    >>> first, second = next(draw_batches(np.array([0, 1, 0, 1, 2]), 10, np.random.default_rng(0)))
    >>> sorted(zip(first.tolist(), second.tolist()))
    [(0, 2), (1, 3), (2, 0), (3, 1)]
    """
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    sizes = np.bincount(groups)
    bags: list[NDArray] = []
    for rows in np.split(order, np.cumsum(sizes)[:-1]):
        if len(rows) > 1:
            bags.extend(np.array_split(rows, max(len(rows) // _BAG, 1)))
    shuffled = [bags[i] for i in rng.permutation(len(bags))]
    firsts, seconds, n_rows = [], [], 0
    for place, bag in enumerate(shuffled):
        firsts.append(bag)
        seconds.append(np.roll(bag, 1))
        n_rows += len(bag)
        if n_rows >= batch_size or (place == len(shuffled) - 1 and n_rows >= _LEAST):
            yield np.concatenate(firsts), np.concatenate(seconds)
            firsts, seconds, n_rows = [], [], 0


def _define_losses(torch: Any) -> dict[str, Callable[..., Any]]:
    """Return the three objectives as functions of two views of the rows, their groups and the settings."""

    def barlow(one: Any, two: Any, groups: Any, settings: Settings) -> Any:
        one, two = ((view - view.mean(0)) / (view.var(0, unbiased=False) + 1e-5).sqrt() for view in (one, two))
        correlation = one.T @ two / len(one)
        diagonal = torch.diagonal(correlation)
        off = (correlation**2).sum() - (diagonal**2).sum()
        return ((1 - diagonal) ** 2).sum() + settings.redundancy * off

    def simcse(one: Any, two: Any, groups: Any, settings: Settings) -> Any:
        scores = _normalize(torch, one) @ _normalize(torch, two).T / settings.temperature
        own = torch.eye(len(one), dtype=torch.bool)
        same_group = (groups[:, None] == groups[None]) & ~own  # these are not negatives
        return (torch.logsumexp(scores.masked_fill(same_group, -torch.inf), 1) - torch.diagonal(scores)).mean()

    def marginal(one: Any, two: Any, groups: Any, settings: Settings) -> Any:
        one = _normalize(torch, one)
        own = torch.eye(len(one), dtype=torch.bool)
        scores = (one @ one.T / settings.temperature).masked_fill(own, -torch.inf)
        inside = scores.masked_fill(groups[:, None] != groups[None], -torch.inf)
        return (torch.logsumexp(scores, 1) - torch.logsumexp(inside, 1)).mean()

    return {"barlow": barlow, "simcse": simcse, "marginal": marginal}


def _normalize(torch: Any, rows: Any) -> Any:
    return torch.nn.functional.normalize(rows, dim=1)


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as missing:
        raise ImportError(
            "PairedHead(solver='sgd') requires torch, which is not installed. Run: pip install "
            "'codebooks-learn[text]', or use solver='eigen', which does not need it."
        ) from missing
    return torch
