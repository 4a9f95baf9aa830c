"""Orthonormal dictionaries: planted bases, patches of photographs, and the time of the published rule on text.

The published rule is timed against `run_published_rule`, its plain NumPy version.
"""

import warnings
from statistics import median
from typing import Any

import numpy as np
from scipy.fft import dct
from sklearn.decomposition import MiniBatchDictionaryLearning

import codebooks
from benchmarks import corpora
from benchmarks.report import format_table, write
from benchmarks.timing import measure_seconds
from codebooks import OrthogonalSparseCoding, ops

N_SEEDS = 10
N_PATCHES, N_HELD_OUT = 100_000, 20_000
N_COMPONENTS, N_ACTIVE, N_PASSES = 64, 8, 2
SIDE = 8


def run(n_patches: int = N_PATCHES) -> None:
    codebooks.warmup()
    rows = [measure_recovery(name) for name in ("geodesic", "procrustes", "online")]
    print(format_table(rows, ["what", "model", "atoms recovered", "worst seed", "seconds"]), flush=True)
    rows += [*measure_patches(n_patches), measure_published_rule()]
    write("images", rows, "python -m benchmarks images")
    columns = ["what", "model", "atoms recovered", "worst seed", "PSNR", "seconds to fit", "seconds to encode"]
    shown = [row | ({"PSNR": f"{row['PSNR']:.2f} dB"} if "PSNR" in row else {}) for row in rows]
    print("\n" + format_table(shown, [*columns, "seconds", "transcription seconds", "ratio"]))


# -- planted bases ---------------------------------------------------------------------------------------------------


def make_planted_basis(
    seed: int, n_atoms: int = 16, n_rows: int = 400, n_active: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of `n_active` atoms each of a random orthonormal basis, coefficients N(0, 1), and the basis."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((n_atoms, n_atoms)))[0]
    codes = np.zeros((n_rows, n_atoms))
    for row in codes:
        row[rng.choice(n_atoms, n_active, replace=False)] = rng.standard_normal(n_active)
    return codes @ basis, basis


def measure_recovery(algorithm: Any) -> dict[str, Any]:
    """Measure the share of planted atoms that a component matches with an overlap above .99, after 25 passes."""
    shares, taken = [], []
    for seed in range(N_SEEDS):
        X, basis = make_planted_basis(seed)
        model = OrthogonalSparseCoding(
            16, algorithm=algorithm, n_active=8, signed=True, max_iter=25, tol=0, random_state=seed
        )
        taken.append(measure_seconds(lambda model=model, X=X: model.fit(X)))
        shares.append(float((np.abs(model.components_ @ basis.T).max(axis=0) > 0.99).mean()))
    return {
        "what": f"16 planted atoms, 8 active, 25 passes, {N_SEEDS} seeds",
        "model": algorithm,
        "atoms recovered": float(np.mean(shares)),
        "worst seed": min(shares),
        "seconds": median(taken),
    }


# -- patches of photographs ------------------------------------------------------------------------------------------


def measure_patches(n_patches: int = N_PATCHES) -> list[dict[str, Any]]:
    """Measure PSNR and times on 8 x 8 patches without their mean: 64 components, 8 of them active per patch."""
    images = _load_photographs()
    rng = np.random.default_rng(0)
    X, held_out = _draw_patches(images[:12], n_patches, rng), _draw_patches(images[12:], N_HELD_OUT, rng)
    size = float(X.std())  # scikit-learn's penalty, alpha=1, is meant for data of this scale
    X, held_out = X / size, held_out / size
    what = f"{n_patches} patches, {N_COMPONENTS} units, {N_ACTIVE} active"
    common = {"n_components": N_COMPONENTS, "max_iter": N_PASSES, "random_state": 0}
    ours = {"n_active": N_ACTIVE, "signed": True}
    learners = {
        f"OSC, {N_PASSES} passes": OrthogonalSparseCoding(**common, **ours, batch_size=1000, tol=0),
        "OSC, defaults": OrthogonalSparseCoding(N_COMPONENTS, **ours, random_state=0),
        f"MiniBatchDictionaryLearning, {N_PASSES} passes": MiniBatchDictionaryLearning(
            **common,
            batch_size=256,
            transform_algorithm="omp",
            transform_n_nonzero_coefs=N_ACTIVE,
            tol=0,
            max_no_improvement=None,
        ),
    }
    rows = []
    for name, model in learners.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the unused orthonormal component of the mean
            to_fit = measure_seconds(lambda model=model: model.fit(X))
        to_encode = measure_seconds(lambda model=model: model.transform(X))
        rebuilt = model.transform(held_out) @ model.components_
        rows.append({"what": what, "model": name, "PSNR": _compute_psnr(rebuilt, held_out, size)})
        rows[-1] |= {"seconds to fit": to_fit, "seconds to encode": to_encode}
        print(format_table(rows[-1:], list(rows[-1])).splitlines()[-1], flush=True)
    for name, basis in {"2-D DCT": _make_dct_basis(), "PCA": np.linalg.eigh(X.T @ X)[1].T}.items():
        rows.append(
            {"what": what, "model": name, "PSNR": _compute_psnr(_keep_largest(held_out, basis), held_out, size)}
        )
    ours_total, peers_total = (sum(rows[i][part] for part in ("seconds to fit", "seconds to encode")) for i in (0, 2))
    rows[2]["ratio"] = peers_total / ours_total
    return rows


def _load_photographs() -> np.ndarray:
    with np.load(corpora.get_data_folder("kodak_gray") / "kodak_gray.npz") as file:
        return file["landscape"].astype(np.float32)


def _draw_patches(images: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw patches at random positions and subtract their means."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), axis=(1, 2))
    place = [rng.integers(size, size=n) for size in windows.shape[:3]]
    patches = windows[tuple(place)].reshape(n, SIDE * SIDE)
    return patches - patches.mean(axis=1, keepdims=True)


def _make_dct_basis() -> np.ndarray:
    line = dct(np.eye(SIDE), norm="ortho", axis=0)
    return np.kron(line, line)


def _keep_largest(X: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Reconstruct rows from their largest coefficients in an orthonormal basis."""
    codes = X @ basis.T.astype(X.dtype)
    least = np.partition(np.abs(codes), -N_ACTIVE, axis=1)[:, [-N_ACTIVE]]
    return (codes * (np.abs(codes) >= least)) @ basis.astype(X.dtype)


def _compute_psnr(rebuilt: np.ndarray, X: np.ndarray, size: float) -> float:
    """Compute the PSNR in decibels over all patches, with a peak of 255 grey levels."""
    return float(10 * np.log10(255**2 / np.mean((size * (rebuilt - X).astype(np.float64)) ** 2)))


# -- the published rule ----------------------------------------------------------------------------------------------


def measure_published_rule(n_components: int = 30, n_active: int = 2, n_rows: int = 100) -> dict[str, Any]:
    """Time one epoch on BBC with the compiled rule and with plain NumPy, which is measured on some rows."""
    corpus = corpora.load("bbc")
    X = corpus.X.astype(np.float64)
    W = ops.nearest_orthonormal(np.random.default_rng(0).standard_normal((n_components, X.shape[1])))
    scale = np.ones(X.shape[0])
    selection = {"handicap": np.zeros(n_components), "n_active": n_active, "threshold": -1, "signed": True}
    taken, plain = [], []
    for _ in range(3):
        dense = X[:n_rows].toarray()
        plain_seconds = measure_seconds(lambda dense=dense: run_published_rule(W, dense, 0.1, n_active))
        plain.append(plain_seconds * X.shape[0] / n_rows)
        taken.append(measure_seconds(lambda: ops.deflate_by_rows(W, X, scale, 0.1, **selection)))
    few = ops.deflate_by_rows(W, X[:n_rows], scale[:n_rows], 0.1, **selection)
    np.testing.assert_allclose(few, run_published_rule(W, X[:n_rows].toarray(), 0.1, n_active), atol=1e-8)
    return {
        "what": f"published rule, an epoch of BBC, {n_components} units, float64",
        "model": "online",
        "seconds": median(taken),
        "transcription seconds": median(plain),
        "ratio": median(slow / fast for slow, fast in zip(plain, taken, strict=True)),
    }


def run_published_rule(W: np.ndarray, X: np.ndarray, rate: float, n_active: int) -> np.ndarray:
    """Run the published rule in plain NumPy."""
    W = W.copy()
    for x in X:
        order = np.argsort(-np.abs(W @ x), kind="stable")
        residual = x.copy()
        for place, i in enumerate(order):
            for before in order[:place]:
                W[i] -= (W[i] @ W[before]) * W[before]
            if place < n_active:
                W[i] += rate * (W[i] @ residual) * residual
            W[i] /= np.linalg.norm(W[i])
            residual -= (W[i] @ residual) * W[i]
    return W
