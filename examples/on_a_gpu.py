"""Hand it a CuPy array: the same fit on a GPU, and the model back on a machine that has none.

The array says where. Without CuPy or a device the script says so and goes on with NumPy; no other line of it changes.
"""

import pickle
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

import codebooks
from codebooks import HopfieldMemory, KrotovHopfield, metrics


def array_module():
    """CuPy and the name of the device, or NumPy and why."""
    try:
        import cupy

        return cupy, cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception as error:  # no CuPy, no driver, no device
        return np, f"the CPU, since no GPU answers ({type(error).__name__})"


xp, place = array_module()
print("Computing on", place)
digits = load_digits()
X = xp.asarray(digits.data, dtype=np.float32)

model = KrotovHopfield(20, random_state=0)
model.fit(X)  # the first call compiles, or loads, what it needs
start = perf_counter()
labels = model.fit_predict(X)
print(f"{len(X)} images in 20 units, {model.n_iter_} passes: {perf_counter() - start:.3f} s")
print("Labels are", type(labels).__module__.partition(".")[0], "arrays, as the images are")

on_a_laptop = codebooks.to_host(model)
agreement = metrics.agreement(digits.target, on_a_laptop.labels_)
print(f"Units against digits: NMI {agreement.nmi:.2f}, purity {agreement.purity:.2f}")
same = on_a_laptop.predict(digits.data.astype(np.float32)) == on_a_laptop.labels_
print(f"The same answers without a GPU: {same.mean():.0%}")
print(f"And in a file: {len(pickle.dumps(model))} bytes that any machine reads")

known, asked = slice(0, 1200), slice(1200, None)
memory = HopfieldMemory().fit(X[known], digits.target[known])
right = memory.predict(X[asked]) == digits.target[asked]
print(f"New digits named by a memory of {len(memory.ids_)} others: {right.mean():.0%} right")
