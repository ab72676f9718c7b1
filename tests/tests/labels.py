"""The label sets that a collector gives through PCP's own Python binding, one a line: call, of what, JSON.

    labels.py HOST:PORT [--count] [NAME ...]     names or the root that they are below; openmetrics unless given

`lookup` is pmLookupLabels, which has a level for each of its sets; domain, cluster, item, indom and instances are
the calls of these levels. Keys are sorted; a call that fails shows its error. With --count only the number of
sets is printed. JSON that no parser takes is shown as the text that it is.
"""
import json
import sys
from ctypes import POINTER, byref

import cpmapi as c
from pcp import pmapi

LEVELS = {
    c.PM_LABEL_CONTEXT: "context",
    c.PM_LABEL_DOMAIN: "domain",
    c.PM_LABEL_CLUSTER: "cluster",
    c.PM_LABEL_INDOM: "indom",
    c.PM_LABEL_ITEM: "item",
}
arguments = [argument for argument in sys.argv[2:] if argument != "--count"]
context = pmapi.pmContext(c.PM_CONTEXT_HOST, sys.argv[1])
names = []
for root in arguments or ["openmetrics"]:
    context.pmTraversePMNS(root, lambda name: names.append(name.decode() if isinstance(name, bytes) else name))
total = 0


def tell(call, what, found):
    global total
    total += 1
    if "--count" not in sys.argv:
        text = found if isinstance(found, str) else json.dumps(found, sort_keys=True, ensure_ascii=False)
        print(call, what, text, sep="\t")


def ask(call, what, function, *arguments):
    """The sets of one call, none where it fails."""
    try:
        return function(*arguments)
    except (pmapi.pmErr, ValueError) as error:
        tell(call, what, "ERROR %s" % error)
        return {}


def instances(indom):
    """pmGetInstancesLabels, of which one set that is no JSON spoils no other."""
    sets = POINTER(pmapi.pmLabelSet)()
    pmapi.LIBPCP.pmUseContext(context.ctx)
    count = pmapi.LIBPCP.pmGetInstancesLabels(indom, byref(sets))
    if count < 0:
        raise pmapi.pmErr(count)
    found = {}
    for i in range(count):
        text = (sets[i].json or b"{}").decode(errors="backslashreplace")
        try:
            found[sets[i].inst] = json.loads(text)
        except ValueError:
            found[sets[i].inst] = "BROKEN " + text
    if count > 0:
        pmapi.LIBPCP.pmFreeLabelSets(sets, count)
    return found


seen = set()
for name in sorted(names):
    pmid = context.pmLookupName((name,))[0]
    desc = ask("desc", name, context.pmLookupDesc, pmid)
    if not desc:
        continue
    for level, found in sorted(ask("lookup", name, context.pmLookupLabels, pmid).items()):
        tell("lookup", "%s %s" % (name, LEVELS.get(level, level)), found)
    domain, cluster = pmid >> 22 & 511, pmid >> 10 & 4095
    if domain not in seen:
        seen.add(domain)
        tell("domain", str(domain), ask("domain", str(domain), context.pmGetDomainLabels, domain))
    if (domain, cluster) not in seen:
        seen.add((domain, cluster))
        of = "%d.%d" % (domain, cluster)
        tell("cluster", of, ask("cluster", of, context.pmGetClusterLabels, pmid))
    tell("item", name, ask("item", name, context.pmGetItemLabels, pmid))
    indom = desc.contents.indom
    if indom != c.PM_INDOM_NULL:
        tell("indom", name, ask("indom", name, context.pmGetInDomLabels, indom))
        for instance, found in sorted(ask("instances", name, instances, indom).items()):
            tell("instances", "%s %d" % (name, instance), found)
if "--count" in sys.argv:
    print(total)
