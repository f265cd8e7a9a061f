"""The same lines on every engine, which is named by a URL: ``python program.py local://``."""

import sys
from contextlib import suppress

import numpy as np
from sklearn.linear_model import LinearRegression

from omruntime import Omega, errors, virtualobj


@virtualobj
def share(data=None, results=None, **kwargs):
    """Divide a cake of 12, or put the shares together."""
    return sum(results) if results is not None else 12 / data


om = Omega(runtime=sys.argv[1])
with suppress(errors.UnsupportedCapability):  # the workers of a shared cluster have been started by others
    om.runtime.scale({"default": 2, "gpu": 1})
print("labels", sorted(set(map(tuple, om.runtime.labels().values()))))

X = np.arange(20.0).reshape(10, 2)
om.models.put(LinearRegression(), "line")
print("fit", om.runtime.model("line").fit(X, X.sum(axis=1)).get().name)
print("predict", om.runtime.model("line").predict(X[:3]).get().round(6))

om.scripts.put(share, "share")
print("script", om.runtime.require("gpu").script("share").run(4).get()["result"])

om.jobs.create("print('told to count to', job['param'])", "note")
print("notebook", om.jobs.get(om.runtime.job("note").run(3).get()).cells[0].outputs[0].text, end="")

with om.runtime.mapreduce() as crt:
    for guests in (1, 2, 3):
        crt.require("gpu").script("share").run(guests)
    crt.script("share").run()
    cake = crt.run()
print("canvas", cake.get()["result"], [step["result"] for step in cake.getall()])

failed = om.runtime.script("share").run(0)
with suppress(ZeroDivisionError):
    failed.get()
print("error", failed.status, failed.traceback.splitlines()[-1])
om.close()
