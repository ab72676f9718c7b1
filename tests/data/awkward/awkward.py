"""A PMDA of everything that is awkward to export: names, instances, labels, help, numbers and strings.

usage: awkward.py DOMAIN LOG MANY: `awkward.many.*` have MANY instances. What does not change from fetch to fetch lies below
`awkward.still`, what does below `awkward.moving`; `awkward.many` is as still as it is large.
"""
import json
import sys
from ctypes import c_int

import cpmapi as c
from pcp.pmapi import pmUnits
from pcp.pmda import PMDA, pmdaIndom, pmdaInstid, pmdaMetric

DOMAIN, LOG, MANY = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
NONE = pmUnits(0, 0, 0, 0, 0, 0)
NULL = c.PM_INDOM_NULL
I32, U32, I64, U64 = c.PM_TYPE_32, c.PM_TYPE_U32, c.PM_TYPE_64, c.PM_TYPE_U64
FLOAT, DOUBLE, STRING = c.PM_TYPE_FLOAT, c.PM_TYPE_DOUBLE, c.PM_TYPE_STRING
COUNTER, INSTANT, DISCRETE = c.PM_SEM_COUNTER, c.PM_SEM_INSTANT, c.PM_SEM_DISCRETE

# Each has its troubles in one string.
AWKWARD = [
    'say "hi"', "back\\slash", "trailing\\", "\\n is no line feed", "tab\there", "line\nfeed", "carriage\rreturn", "\x01\x1f\x7f",
    "caf\u00e9", "\u65e5\u672c\u8a9e", "\U0001f389", "e\u0301", "\u202eright to left", " blanks at both ends ", "#", "# EOF",
    '{a="b"} 1', "a,b=c", "%s%n", "'", "<b>&amp;</b>", "\u00a0", "\ufeff", "x" * 1000,
]
NUMBERS = [
    ("i32_min", I32, -(2**31)), ("i32_max", I32, 2**31 - 1), ("u32_max", U32, 2**32 - 1), ("i64_min", I64, -(2**63)),
    ("i64_max", I64, 2**63 - 1), ("u64_max", U64, 2**64 - 1), ("u64_odd", U64, 2**53 + 1), ("zero", I32, 0),
    ("float_nan", FLOAT, float("nan")), ("float_inf", FLOAT, float("inf")), ("float_minus_inf", FLOAT, float("-inf")),
    ("float_minus_zero", FLOAT, -0.0), ("float_least", FLOAT, 1.401298464324817e-45), ("float_third", FLOAT, 1 / 3),
    ("float_most", FLOAT, 3.4028234663852886e38), ("float_234", FLOAT, 2.34), ("float_16777216", FLOAT, 16777216.0),
    ("nan", DOUBLE, float("nan")), ("inf", DOUBLE, float("inf")), ("minus_inf", DOUBLE, float("-inf")),
    ("minus_zero", DOUBLE, -0.0), ("least", DOUBLE, 5e-324), ("least_normal", DOUBLE, 2.2250738585072014e-308),
    ("most", DOUBLE, 1.7976931348623157e308), ("third", DOUBLE, 1 / 3), ("sum", DOUBLE, 0.1 + 0.2), ("large", DOUBLE, 1e22),
    ("two_53", DOUBLE, 2.0**53), ("next_to_one", DOUBLE, 1.0000000000000002), ("micro", DOUBLE, 1e-7), ("e21", DOUBLE, 1e21),
]
# Names that collide with each other where dots become underscores, or where suffixes are put on or are taken for others'.
NAMES = [
    ("a.b", INSTANT), ("a_b", INSTANT), ("c.d", COUNTER), ("c.d_total", COUNTER), ("c.d_count", COUNTER), ("e.f", INSTANT),
    ("e.f_info", INSTANT), ("e_f.info", INSTANT), ("g.h", INSTANT), ("g.h_bucket", INSTANT), ("g.h_sum", INSTANT),
    ("g.h_count", INSTANT), ("g.h_total", INSTANT), ("g.h_created", INSTANT), ("camelCase", INSTANT), ("camelCase2", COUNTER),
    ("camel_case", INSTANT), ("total", COUNTER), ("info", INSTANT), ("count", INSTANT), ("bucket", COUNTER), ("sum", COUNTER),
    ("created", COUNTER), ("counter", COUNTER), ("gauge", INSTANT), ("histogram", INSTANT), ("summary", DISCRETE),
    ("i.j_total_total", COUNTER), ("i.j_total", COUNTER), ("i.j", COUNTER), ("k__l", INSTANT), ("k_.l", INSTANT), ("k._l", INSTANT)
    , ("UPPER", INSTANT), ("le", INSTANT), ("m.bytes", INSTANT), ("m_bytes", INSTANT), ("m.seconds_total", COUNTER), ("n.ms", INSTANT),
    ("x" * 200, INSTANT), ("o.p_milliseconds", COUNTER), ("o.p_kbytes", INSTANT), ("ratio", INSTANT), ("percent", INSTANT),
]
SPACE = [c.PM_SPACE_BYTE, c.PM_SPACE_KBYTE, c.PM_SPACE_MBYTE, c.PM_SPACE_EBYTE]
TIME = [c.PM_TIME_NSEC, c.PM_TIME_USEC, c.PM_TIME_MSEC, c.PM_TIME_SEC, c.PM_TIME_MIN, c.PM_TIME_HOUR]
UNITS = (
    [("space%d" % s, pmUnits(1, 0, 0, s, 0, 0)) for s in SPACE]
    + [("time%d" % t, pmUnits(0, 1, 0, 0, t, 0)) for t in TIME]
    + [("count%d" % s, pmUnits(0, 0, 1, 0, 0, s)) for s in (0, 3, 6)]
    + [("rate%d_%d" % (s, t), pmUnits(1, -1, 0, s, t, 0)) for s in SPACE for t in TIME[2:4]]
    + [("frequency%d" % t, pmUnits(0, -1, 1, 0, t, 0)) for t in TIME]
    + [("each", pmUnits(0, 1, -1, 0, c.PM_TIME_MSEC, 0)), ("per_time", pmUnits(0, -1, 0, 0, c.PM_TIME_SEC, 0))]
    + [("square", pmUnits(2, 0, 0, c.PM_SPACE_KBYTE, 0, 0)), ("product", pmUnits(1, 1, 0, 1, c.PM_TIME_SEC, 0))]
    + [("size_each", pmUnits(1, 0, -1, c.PM_SPACE_KBYTE, 0, 0)), ("all", pmUnits(1, 2, -3, 1, 2, 3))]
)
# Labels that are called as what says which instance it is.
DISGUISE = '{"instid":"x","instname":"fake"}'
# Labels by level; each has what the others have not, one they all have, and something nested.
NESTED = {"a": {"b": {"c": "deep"}, "d": 1}, "list": [1, "two", None, {"x": "y"}], "yes": True, "no": False, "nothing": None}
FIGURES = {"int": -5, "big": 18446744073709551615, "float": 0.1, "exp": 1e300, "text": "t", "empty": ""}


def level(name, is_nested=False):
    """Labels of a level: each has one name of its own and shares others with the levels below."""
    labels = {"who": name, "of_" + name: 'say "hi" \\ caf\u00e9\n\t\u0001', "n_" + name: 1.5, "since_" + name: name}
    later = ["context", "domain", "indom", "cluster", "item", "instance"]
    labels.update({"since_" + other: name for other in later[: later.index(name)]})
    labels.update({"yes": True, "nothing": None, "zero": 0})
    if is_nested:
        labels.update({"%s_nested" % name: NESTED, "le": "1", "quantile": "2", "CamelCase": "x"})
        labels.update({"instance": "not Prometheus'", "job": "nor this"})
        # Sixty-four labels of a sample are the most that pmbridge reads again.
        labels.update({"item_figures": FIGURES} if name == "item" else {})
    return json.dumps(labels, ensure_ascii=name in ("cluster", "instance"))


class Awkward(PMDA):
    """What each metric gives is in one table, by PMID."""

    def __init__(self):
        PMDA.__init__(self, "awkward", DOMAIN, LOG)
        self.values, self.turn, self.generations = {}, 0, []
        self.names = self.domain_of(0, ["", " ", "plain"] + AWKWARD)
        self.many = self.domain_of(1, ["instance %d of \u221e" % i for i in range(MANY)])
        self.going = self.domain_of(2, {"always": c_int(0)})
        self.renamed = self.domain_of(3, ["generation 0", "companion 0"])
        self.few = self.domain_of(4, ["one", "two", "three"])
        self.nobody = self.domain_of(5, ["no values"])
        self.labelled = self.domain_of(6, ["uno", "due"])
        self.silent = self.domain_of(7, ["generation 0"])
        self.disguised = self.domain_of(8, ["uno", "due"])
        self.still()
        self.moving()
        self.set_fetch(self.fetch)
        self.set_fetch_callback(self.value)
        self.set_label(self.label)
        self.set_label_callback(self.label_of_instance)

    def domain_of(self, serial, names):
        indom = self.indom(serial)
        if isinstance(names, list):
            names = [pmdaInstid(i, name) for i, name in enumerate(names)]
        self.add_indom(pmdaIndom(indom, names), "InDom %d" % serial, "")
        return indom

    def metric(self, cluster, name, kind, value, indom=NULL, sem=INSTANT, units=NONE, oneline="help", text=""):
        """Adds a metric whose value is `value`, or `value(inst)`."""
        item = sum(1 for pmid in self.values if pmid[0] == cluster)
        self.values[cluster, item] = value
        self.add_metric("awkward." + name, pmdaMetric(self.pmid(cluster, item), kind, indom, sem, units), oneline, text)

    def still(self):
        for name, kind, number in NUMBERS:
            self.metric(0, "still.number.%s" % name, kind, number)
            self.metric(0, "still.counter.%s" % name, kind, number, sem=COUNTER, units=pmUnits(0, 1, 0, 0, c.PM_TIME_MSEC, 0))
        for i, text in enumerate(AWKWARD + ["", "1.5"]):
            self.metric(1, "still.string.s%d" % i, STRING, text, sem=DISCRETE)
            self.metric(2, "still.help.h%d" % i, U32, i, oneline=text, text=text)
        self.metric(2, "still.help.long", U32, 7, oneline="x" * 3000)
        self.metric(1, "still.string.each", STRING, lambda i: AWKWARD[i % len(AWKWARD)], self.names, DISCRETE)
        for i, (name, sem) in enumerate(NAMES):
            self.metric(3, "still.name." + name, U64, 1000 + i, sem=sem)
        for i, (name, units) in enumerate(UNITS):
            for kind, sem in (("grows", COUNTER), ("stands", INSTANT)):
                self.metric(4, "still.units.%s_%s" % (name, kind), U64, 12345 + i, sem=sem, units=units)
        self.metric(4, "still.units.float_time", FLOAT, 0.3, units=pmUnits(0, 1, 0, 0, c.PM_TIME_MSEC, 0))
        self.metric(4, "still.units.double_time", DOUBLE, 0.3, sem=COUNTER, units=pmUnits(0, 1, 0, 0, c.PM_TIME_NSEC, 0))
        self.metric(4, "still.units.u64_max", U64, 2**64 - 1, sem=COUNTER, units=pmUnits(1, 0, 0, 1, 0, 0))
        self.metric(5, "still.instances", U32, lambda i: i * 3, self.names)
        self.metric(5, "still.counts", U64, lambda i: i * 5, self.names, COUNTER)
        self.metric(6, "still.nested.all", U32, lambda i: i, self.few)
        self.metric(6, "still.nested.single", U32, 6)
        self.metric(10, "still.labels.all", U32, lambda i: i, self.labelled)
        self.metric(10, "still.labels.total", U64, lambda i: i, self.labelled, COUNTER)
        self.metric(10, "still.labels.single", U32, 6)
        self.metric(11, "still.labels.disguised", U32, lambda i: i, self.disguised)
        self.metric(7, "still.error.always", U32, lambda i: None)
        self.metric(7, "still.error.each", U32, lambda i: None, self.nobody)
        self.metric(7, "still.error.half", U32, lambda i: i if i % 2 == 0 else None, self.labelled)
        self.metric(8, "many.gauge", DOUBLE, lambda i: i / 7, self.many)

    def moving(self):
        # An instance's value says what its name has to be.
        self.metric(9, "moving.going", U32, lambda i: self.number_of(i), self.going)
        self.metric(9, "moving.renamed", U32, lambda i: self.turn // 10, self.renamed)
        self.metric(9, "moving.silent", U32, lambda i: self.turn, self.silent)
        self.metric(9, "moving.turn", U64, lambda i: self.turn, sem=COUNTER)

    def fetch(self):
        """Before each fetch: instances of `moving` come and go, or have another name under the same id."""
        self.turn += 1
        numbers = [0] + [i for i in range(1, 60) if (self.turn + i) % 5 < 2]
        self.replace_indom(self.going, {"sometimes-%d" % i if i else "always": c_int(i) for i in numbers})
        if self.turn % 10 == 0:
            generation = self.turn // 10
            names = [pmdaInstid(0, "generation %d" % generation), pmdaInstid(1 + generation % 3, "companion %d" % generation)]
            # In the second, nothing else says that the name is another.
            for indom, names in ((self.renamed, names), (self.silent, names[:1])):
                # What libpcp_pmda has of the old one stays valid until it has looked at the new one.
                self.generations.append(self._indoms[indom])
                self.replace_indom(indom, names)

    def number_of(self, inst):
        name = self.inst_name_lookup(self.going, inst)
        return None if name is None else int(name.partition("-")[2] or 0)

    def value(self, cluster, item, inst):
        value = self.values.get((cluster, item))
        if value is None:
            return [c.PM_ERR_PMID, 0]
        if callable(value):
            value = value(0 if inst == c.PM_IN_NULL else inst)
        return [c.PM_ERR_VALUE, 0] if value is None else [value, 1]

    def label(self, ident, kind):
        if kind == c.PM_LABEL_DOMAIN:
            return '{"agent":"awkward",' + level("domain")[1:]
        if kind == c.PM_LABEL_INDOM and ident == self.disguised:
            return DISGUISE
        if kind == c.PM_LABEL_INDOM:
            return level("indom", ident == self.few) if ident in (self.few, self.labelled) else "{}"
        if kind in (c.PM_LABEL_CLUSTER, c.PM_LABEL_ITEM):
            cluster = ident if kind == c.PM_LABEL_CLUSTER else self.pmid_cluster(ident)
            if cluster == 11:
                return DISGUISE
            if cluster in (6, 10):
                return level("cluster" if kind == c.PM_LABEL_CLUSTER else "item", cluster == 6)
        return "{}"

    def label_of_instance(self, indom, inst):
        if indom in (self.few, self.labelled):
            return level("instance", indom == self.few)
        if indom == self.disguised:
            return '{"instid":"y"}'
        return '{"nth":%d}' % inst


if __name__ == "__main__":
    Awkward().run()
