"""Each value that a collector has, through PCP's own Python binding: name, bits of the double, labels, tab-separated.

Labels are those of the metric overlaid with those of the instance, as `key=value` with a unit separator between them.
With --count only the number of values is printed.
"""
import struct
import sys
from ctypes import c_uint

import cpmapi as c
from pcp import pmapi

context = pmapi.pmContext(c.PM_CONTEXT_HOST, sys.argv[1])
names = []
context.pmTraversePMNS("", lambda name: names.append(name.decode() if isinstance(name, bytes) else name))
NUMBERS = {c.PM_TYPE_32, c.PM_TYPE_U32, c.PM_TYPE_64, c.PM_TYPE_U64, c.PM_TYPE_FLOAT, c.PM_TYPE_DOUBLE}
DERIVED = 511  # the domain of metrics that libpcp computes, in which no collector has labels
total = 0
for start in range(0, len(names), 50):
    batch = names[start : start + 50]
    found = zip(batch, context.pmLookupName(tuple(batch), 1))
    found = [(name, pmid) for name, pmid in found if pmid >> 22 & 511 != DERIVED]
    if not found:
        continue
    batch = [name for name, _ in found]
    pmids = (c_uint * len(found))(*[pmid for _, pmid in found])
    result = context.pmFetch(pmids)
    for i, name in enumerate(batch):
        count = result.contents.get_numval(i)
        if count < 0:
            print("ERROR", name, count, file=sys.stderr)
            continue
        total += count
        if "--count" in sys.argv:
            continue
        desc = context.pmLookupDesc(pmids[i]).contents
        if desc.type not in NUMBERS:
            continue
        item = context.pmLookupLabels(pmids[i]).get(c.PM_LABEL_ITEM, {})
        instances = context.pmGetInstancesLabels(desc.indom)
        for j in range(count):
            atom = context.pmExtractValue(
                result.contents.get_valfmt(i), result.contents.get_vlist(i, j), desc.type, c.PM_TYPE_DOUBLE
            )
            bits = struct.pack(">d", atom.d).hex()
            labels = {**item, **instances.get(result.contents.get_inst(i, j), {})}
            text = "\x1f".join(f"{k}={v}" for k, v in labels.items())
            print(name, bits, text.replace("\t", " ").replace("\n", " "), sep="\t")
    context.pmFreeResult(result)
if "--count" in sys.argv:
    print(total)
