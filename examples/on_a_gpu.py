"""
Computing on a GPU
==================

Pass a CuPy array, and the estimators compute on its device. Without CuPy or a device, this example computes with NumPy;
no other line changes.
"""

# %%
# Choose the array module.

import pickle
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

import codebooks
from codebooks import HopfieldMemory, KrotovHopfield, metrics


def array_module():
    """CuPy and the name of the device, or NumPy and the reason."""
    try:
        import cupy

        return cupy, cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception as error:  # no CuPy, no driver, no device
        return np, f"the CPU, because no GPU is available ({type(error).__name__})"


xp, place = array_module()
print("Computing on", place)
digits = load_digits()
X = xp.asarray(digits.data, dtype=np.float32)

# %%
# Fit on the device. The first fit compiles the kernels, or loads them from disk.

model = KrotovHopfield(20, random_state=0)
model.fit(X)
start = perf_counter()
labels = model.fit_predict(X)
print(f"{len(X)} images, 20 components, {model.n_iter_} epochs: {perf_counter() - start:.3f} s")
print("Labels are", type(labels).__module__.partition(".")[0], "arrays, like the images")

# %%
# `to_host` converts a fitted model to NumPy arrays. Pickling does the same.

on_the_host = codebooks.to_host(model)
agreement = metrics.agreement(digits.target, on_the_host.labels_)
print(f"Components and digits: NMI {agreement.nmi:.2f}, purity {agreement.purity:.2f}")
same = on_the_host.predict(digits.data.astype(np.float32)) == on_the_host.labels_
print(f"Equal labels without a GPU: {same.mean():.0%}")
print(f"Size of the pickle: {len(pickle.dumps(model))} bytes")

# %%
# A memory on the device predicts the targets of the patterns that it retrieves.

known, unknown = slice(0, 1200), slice(1200, None)
memory = HopfieldMemory().fit(X[known], digits.target[known])
right = memory.predict(X[unknown]) == digits.target[unknown]
print(f"Accuracy on new digits, from {len(memory.ids_)} stored ones: {right.mean():.0%}")
