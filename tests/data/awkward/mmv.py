"""Writes a memory-mapped values file for pmcd's mmv agent: mmv.py NAME METRICS INSTANCES, below $PCP_TMP_DIR/mmv.

Each value is the number of its metric times a thousand plus that of its instance, so that any of them is known.
"""
import sys

import cmmv
import cpmapi as c
from pcp import mmv, pmapi

name, metrics, instances = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
names = ["instance %d" % i for i in range(instances)]
indom = mmv.mmv_indom(serial=1, shorttext="Instances", helptext="")
indom.set_instances([mmv.mmv_instance(i, name) for i, name in enumerate(names)])
KINDS = [
    (cmmv.MMV_TYPE_U64, cmmv.MMV_SEM_COUNTER, pmapi.pmUnits(0, 0, 1, 0, 0, c.PM_COUNT_ONE)),
    (cmmv.MMV_TYPE_DOUBLE, cmmv.MMV_SEM_INSTANT, pmapi.pmUnits(0, 1, 0, 0, c.PM_TIME_MSEC, 0)),
    (cmmv.MMV_TYPE_I64, cmmv.MMV_SEM_DISCRETE, pmapi.pmUnits(1, 0, 0, c.PM_SPACE_KBYTE, 0, 0)),
]
all = []
for i in range(metrics):
    kind, semantics, units = KINDS[i % len(KINDS)]
    all.append(mmv.mmv_metric(
        name="m%d" % i, item=i + 1, typeof=kind, semantics=semantics, dimension=units, indom=1, shorttext="Metric %d" % i, helptext=""))
values = mmv.MemoryMappedValues(name, 0, 77)
values.add_indoms([indom])
values.add_metrics(all)
values.start()
for i in range(metrics):
    for j, instance in enumerate(names):
        values.set(values.lookup_mapping("m%d" % i, instance), i * 1000 + j)
