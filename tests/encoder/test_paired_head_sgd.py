"""Heads by gradient descent: their losses against slow loops, what is kept, and that torch does not stay."""

import pickle
import subprocess
import sys

import numpy as np
import oracles
import pytest

from codebooks import PairedHead
from codebooks.embeddings._head_sgd import Settings, _define_losses, draw_batches, fit_sgd_heads
from codebooks.embeddings._head_validation import compute_first_ranks

torch = pytest.importorskip("torch")

OBJECTIVES = ["barlow", "simcse", "marginal"]
PLAIN = Settings("marginal", None, True, 0.1, 0.01, 0.0, 1e-2, 128, 8)


def planted(n_groups=60, n_rows=6, n_features=12, seed=0, noise=3.0):
    """Groups that differ in all directions alike, while rows of a group vary in the first half of them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_rows)
    spread = np.where(np.arange(n_features) < n_features // 2, noise, 0.3)
    X = rng.standard_normal((n_groups, n_features))[groups]
    X += rng.standard_normal((len(groups), n_features)) * spread
    return X, groups


def fast(objective, **settings):
    return PairedHead(objective, solver="sgd", **{"learning_rate": 0.02, "max_iter": 6, "random_state": 0, **settings})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_equal_slow_loops(objective):
    X, groups = planted(6, 4, 5)
    X = X / np.linalg.norm(X, axis=1).mean()
    partners = np.roll(np.arange(24).reshape(6, 4), 1, axis=1).ravel()
    expected = {
        "barlow": lambda: oracles.barlow_loss(X, X[partners], 0.01),
        "simcse": lambda: oracles.contrast(X, X[partners], groups, 0.1),
        "marginal": lambda: oracles.marginal_contrast(X, groups, 0.1),
    }[objective]()
    one, two = torch.as_tensor(X), torch.as_tensor(X[partners])
    loss = _define_losses(torch)[objective](one, two, torch.as_tensor(groups), PLAIN)
    assert loss.item() == pytest.approx(expected, rel=1e-3)


def test_batches_hold_each_row_once_with_another_of_its_group():
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    batches = list(draw_batches(groups, 64, np.random.default_rng(0)))
    first, second = (np.concatenate(part) for part in zip(*batches, strict=True))
    np.testing.assert_array_equal(np.sort(first), np.arange(1, 465))  # row 0 is alone
    np.testing.assert_array_equal(groups[first], groups[second])
    assert (first != second).all()
    assert all(len(batch) >= 64 for batch, _ in batches[:-1])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_fall(objective):
    X, groups = planted()
    losses = [loss for _, loss in fit_sgd_heads(X / 5, groups, PLAIN._replace(objective=objective), 0)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("objective", ["simcse", "marginal"])
def test_a_head_that_helps_is_kept(objective):
    X, groups = planted()
    head = fast(objective).fit(X, groups)
    assert head.improved_
    new, new_groups = planted(seed=1)
    gain = np.mean(1 / compute_first_ranks(head.transform(new), new_groups)) - np.mean(
        1 / compute_first_ranks(new, new_groups)
    )
    assert gain > 0.05
    assert [entry["epoch"] for entry in head.history_] == list(range(7))
    assert np.isnan(head.history_[0]["loss"])
    assert head.history_[head.n_iter_]["mrr"] - head.history_[0]["mrr"] == pytest.approx(head.gain_)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_fall_back(objective, seed):
    X, groups = planted(seed=seed)
    with pytest.warns(UserWarning, match="does not change the embeddings"):
        head = fast(objective, max_iter=3).fit(X, np.random.default_rng(seed).permutation(groups))
    assert not head.improved_
    np.testing.assert_array_equal(head.transform(X), X)


def test_one_seed_is_one_head():
    X, groups = planted(20)
    one, two, other = (fast("marginal", max_iter=2, random_state=seed).fit(X, groups) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.candidate_, two.candidate_)
    assert not np.array_equal(one.candidate_, other.candidate_)


def test_scale_does_not_matter():
    X, groups = planted(20)
    one, two = fast("marginal").fit(X, groups), fast("marginal").fit(1000 * X, groups)
    np.testing.assert_allclose(two.candidate_, one.candidate_, atol=1e-3)


@pytest.mark.filterwarnings("ignore:PairedHead does not change the embeddings")
@pytest.mark.parametrize("settings", [{"n_components": 3}, {"residual": False}, {"n_components": 12}])
def test_shapes(settings):
    X, groups = planted()
    head = fast("marginal", **settings).fit(X, groups)
    assert head.candidate_.shape == (settings.get("n_components", 12), 12)


def test_equal_rows_are_given_back():
    X = np.ones((40, 4))
    with pytest.warns(UserWarning, match="does not change the embeddings"):
        head = fast("marginal").fit(X, np.arange(40) // 4)
    np.testing.assert_array_equal(head.transform(X), X)


def test_a_head_of_pairs():
    X, _ = planted(150, 2, noise=1.5)
    assert fast("simcse").fit_pairs(X[::2], X[1::2]).improved_


def test_fitted_with_torch_used_without():
    X, groups = planted()
    head = fast("marginal").fit(X.astype(np.float32), groups)
    assert head.components_.dtype == np.float32
    assert all(type(value).__module__.partition(".")[0] != "torch" for value in vars(head).values())
    code = (
        "import sys, pickle, numpy as np; head = pickle.loads(sys.stdin.buffer.read());"
        "print(head.transform(np.ones((2, 12))).shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(head), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "(2, 12) False"
