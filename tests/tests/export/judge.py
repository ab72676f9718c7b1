"""Judges of an exporter's pages, each a command; what is wrong is printed a line each, and the exit code is 1 then.

    judge.py openmetrics URL...           the reference parser takes each page, asked for as OpenMetrics
    judge.py strict URL...                each page keeps the rules of each format that it is asked for as
    judge.py strings HOST:PORT URL        strings are info metrics
    judge.py values HOST:PORT URL         names, kinds, help, units, labels and values are those that libpcp gives, to the bit
    judge.py same URL URL                 both pages have the same series, whatever they call them
    judge.py trip HOST:PORT HOST:PORT ROOT RULES  what the second has below ROOT is what the first has

Series that change are held to nothing: what libpcp gives is read before and after the page, and only what is the same counts.
"""
import ctypes
import json
import re
import struct
import sys
import urllib.request
from ctypes import POINTER, byref, c_uint

OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PLACE = ("instid", "instname")  # labels that say which instance it is
FIRST = 40  # faults shown
LOOKS = 3  # A value may move and move back while it is looked at, as of a disk that others use; a fault stays.
# What the asking itself changes, only while it lasts.
TOUCHED = re.compile(r"network\.(sockstat|tcp|tcpconn|tcp6conn|unix)\.|proc\.(runq\.|nprocs)|kernel\.all\.(runnable|running|blocked|nprocs)|pmcd\.|mem\.|disk\.|vfs\.|cgroup\.|sample\.(magnitude|colour|updown|scale_step|step|drift|many|part_bin)")
OWN = ("pmbridge_", "process_")  # families of the exporter itself
faults, notes = [], {}


def fault(text):
    faults.append(text)


def page_of(url, accept=None):
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read().decode("utf-8", "strict"), answer.headers.get("Content-Type", "")


# --- a page, read as strictly as its format is written

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
ESCAPES = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}


def unescape(text):
    return re.sub(r'\\[\\n"]', lambda found: ESCAPES[found[0]], text)


class Family:
    def __init__(self, name):
        self.name, self.help, self.kind, self.pcp, self.samples = name, None, None, None, []


class Page:
    """Families in order; a fault for whatever breaks the format's rules."""

    def __init__(self, text):
        self.families, self.by_name, seen = [], {}, set()
        family = pending = None
        if text and not text.endswith("\n"):
            fault("the page does not end in a line feed")
        # Not splitlines(): label values have line separators of Unicode in them.
        for line in text.split("\n")[:-1]:
            if line.startswith("# PCP5 "):
                pending = line[len("# PCP5 "):].split(" ", 5)
                family = None
            elif line.startswith(("# HELP ", "# TYPE ", "# UNIT ")):
                word, name, rest = (line[2:].split(" ", 2) + [""])[:3]
                if family is None or family.name != name:
                    family = self.open(name)
                    family.pcp, pending = pending, None
                if word == "HELP":
                    family.help = unescape(rest)
                elif word == "TYPE":
                    family.kind = rest
            elif line.startswith("#"):
                if line != "# EOF":
                    fault("a comment of no known sort: %.80s" % line)
            elif line:
                self.sample(line, family, seen)
            else:
                fault("an empty line")

    def open(self, name):
        if name in self.by_name:
            fault("the family %s comes twice" % name)
        family = self.by_name[name] = Family(name)
        self.families.append(family)
        return family

    def sample(self, line, family, seen):
        found = NAME.match(line)
        if not found:
            return fault("no name: %.100s" % line)
        name, at, labels = found[0], found.end(), {}
        if line[at:at + 1] == "{":
            at += 1
            while line[at:at + 1] != "}":
                label = LABEL.match(line, at)
                if not label or label[1] in labels:
                    return fault("a bad label: %.200s" % line)
                labels[label[1]] = unescape(label[2])
                at = label.end()
                if line[at:at + 1] == ",":
                    at += 1
                elif line[at:at + 1] != "}":
                    return fault("bad labels: %.200s" % line)
            at += 1
        rest = line[at:].split(" ")
        if rest[0] != "" or not 2 <= len(rest) <= 3:
            return fault("a bad value: %.200s" % line)
        if family is None or not name.startswith(family.name):
            return fault("a sample outside of its family: %.100s" % line)
        if (line[:at]) in seen or (name, frozenset(labels.items())) in seen:
            fault("a series twice: %.200s" % line)
        seen.add((name, frozenset(labels.items())))
        family.samples.append((name, labels, rest[1], rest[2] if len(rest) > 2 else None))


# --- what libpcp gives

class Collector:
    """All that a pmcd has, through PCP's own binding."""

    def __init__(self, host, root=""):
        import cpmapi
        from pcp import pmapi
        self.c, self.api = cpmapi, pmapi
        self.context = pmapi.pmContext(cpmapi.PM_CONTEXT_HOST, host)
        names = []
        self.context.pmTraversePMNS(root, lambda name: names.append(name.decode() if isinstance(name, bytes) else name))
        self.names = sorted(name for name in names if not name.startswith("event."))
        self.pmids, self.descs, self.cache = {}, {}, {}
        for start in range(0, len(self.names), 200):
            batch = self.names[start:start + 200]
            self.pmids.update(zip(batch, self.context.pmLookupName(tuple(batch), 1)))
        self.names = [name for name in self.names if self.pmids[name] >> 22 & 511 != 511]
        for name in self.names:
            try:
                self.descs[name] = self.context.pmLookupDesc(self.pmids[name]).contents
            except pmapi.pmErr:
                pass  # a name without a metric behind it
        self.numbers = {
            cpmapi.PM_TYPE_32: "l", cpmapi.PM_TYPE_U32: "ul", cpmapi.PM_TYPE_64: "ll",
            cpmapi.PM_TYPE_U64: "ull", cpmapi.PM_TYPE_FLOAT: "f", cpmapi.PM_TYPE_DOUBLE: "d",
        }

    def fetch(self):
        """By name: values by instance, numbers as Python has them and strings; nothing where the metric has an error."""
        found = {}
        names = [name for name in self.names if name in self.descs]
        # The profile of a fresh context is all instances.
        for start in range(0, len(names), 100):
            batch = names[start:start + 100]
            result = self.context.pmFetch((c_uint * len(batch))(*[self.pmids[name] for name in batch]))
            for i, name in enumerate(batch):
                kind = self.descs[name].type
                if kind not in self.numbers and kind != self.c.PM_TYPE_STRING:
                    continue
                values = found[name] = {}
                for j in range(max(0, result.contents.get_numval(i))):
                    atom = self.context.pmExtractValue(
                        result.contents.get_valfmt(i), result.contents.get_vlist(i, j), kind, kind)
                    value = atom.cp if kind == self.c.PM_TYPE_STRING else getattr(atom, self.numbers[kind])
                    values[result.contents.get_inst(i, j)] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            self.context.pmFreeResult(result)
        return found

    def instances(self, indom):
        """Names by number; the binding's own call drops what is not ASCII."""
        if indom not in self.cache:
            ids, names = POINTER(ctypes.c_int)(), POINTER(ctypes.c_char_p)()
            self.api.LIBPCP.pmUseContext(self.context.ctx)
            count = self.api.LIBPCP.pmGetInDom(indom, byref(ids), byref(names))
            self.cache[indom] = {ids[i]: names[i].decode("utf-8", "replace") for i in range(max(0, count))}
        return self.cache[indom]

    def oneline(self, name):
        text = ctypes.c_char_p()
        self.api.LIBPCP.pmUseContext(self.context.ctx)
        status = self.api.LIBPCP.pmLookupText(self.pmids[name], self.c.PM_TEXT_ONELINE, byref(text))
        return text.value.decode("utf-8", "replace") if status >= 0 and text.value else ""

    def sets(self, call, *what):
        """The label sets of one level by instance, as the JSON that the agent wrote."""
        key = (call,) + what
        if key in self.cache:
            return self.cache[key]
        lib, sets = self.api.LIBPCP, POINTER(self.api.pmLabelSet)()
        lib.pmUseContext(self.context.ctx)
        count = getattr(lib, call)(*what, byref(sets))
        found = {}
        for i in range(max(0, count)):
            if sets[i].nlabels > 0:
                found[ctypes.c_int(sets[i].inst).value] = json.loads(
                    sets[i].json.decode("utf-8", "replace"), parse_int=Raw, parse_float=Raw)
        if count > 0:
            lib.pmFreeLabelSets(sets, count)
        self.cache[key] = found
        return found

    def labels(self, name, inst):
        """Labels of a series, over six levels, flat, later levels over earlier ones.

        An instance's own name is above all but its own set, and its number above all.
        """
        pmid, desc = self.pmids[name], self.descs[name]
        none = self.c.PM_INDOM_NULL
        levels = [self.sets("pmGetContextLabels"), self.sets("pmGetDomainLabels", pmid >> 22 & 511)]
        if desc.indom != none:
            levels.append(self.sets("pmGetInDomLabels", desc.indom))
        levels += [self.sets("pmGetClusterLabels", pmid), self.sets("pmGetItemLabels", pmid)]
        merged = {}
        for level in levels:
            for labels in level.values():
                merged.update(flat(labels))
        if desc.indom != none:
            merged["instname"] = self.instances(desc.indom).get(inst, "")
            merged.update(flat(self.sets("pmGetInstancesLabels", desc.indom).get(inst, {})))
            merged["instid"] = str(inst)
        return merged


class Raw(str):
    """A number as its JSON has it."""


def json_text(value):
    """A list as JSON without blanks, with numbers as they were."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(json_text(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(json.dumps(k, ensure_ascii=False) + ":" + json_text(v) for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def flat(labels, before=""):
    found = {}
    for name, value in labels.items():
        name = re.sub(r"[^a-zA-Z0-9_]", "_", before + name)
        # Prometheus keeps names that begin with two for itself.
        name = re.sub(r"^__+", "_", name)
        if isinstance(value, dict):
            found.update(flat(value, name + "_"))
        else:
            found[name] = str(value) if isinstance(value, str) else json_text(value)
    return found


# --- the judges

def openmetrics(*urls):
    from prometheus_client.openmetrics import parser
    for url in urls:
        text, kind = page_of(url, OPENMETRICS)
        if not kind.startswith("application/openmetrics-text; version=1.0.0") and not kind.startswith(OPENMETRICS):
            fault("%s: Content-Type %r" % (url, kind))
        try:
            families = list(parser.text_string_to_metric_families(text))
            notes[url] = "%d families, %d samples" % (len(families), sum(len(family.samples) for family in families))
        except ValueError as error:
            fault("%s: %s" % (url, error))


def same_number(kind, c, text, value):
    """Whether the text reads back as that value to the bit."""
    if kind in (c.PM_TYPE_FLOAT, c.PM_TYPE_DOUBLE):
        number, form = float(text), ">f" if kind == c.PM_TYPE_FLOAT else ">d"
        if value != value:
            return number != number
        try:
            return struct.pack(form, number) == struct.pack(form, value)
        except OverflowError:
            return False
    return text == str(value)


TYPES = {0: "32", 1: "u32", 2: "64", 3: "u64", 4: "float", 5: "double", 6: "string"}
SEMANTICS = {1: "counter", 3: "instant", 4: "discrete"}


def head(collector, name, family):
    """Whether what stands above the samples is what the metric is."""
    c, desc, pmid = collector.c, collector.descs[name], collector.pmids[name]
    serial = lambda number: "%d.%d" % (number >> 22 & 511, number & 0x3FFFFF)
    units = str(desc.units)
    wanted = [
        name, "%d.%d.%d" % (pmid >> 22 & 511, pmid >> 10 & 4095, pmid & 1023), TYPES[desc.type],
        "PM_INDOM_NULL" if desc.indom == c.PM_INDOM_NULL else serial(desc.indom), SEMANTICS.get(desc.sem, "?"), units or "none"]
    if family.pcp != wanted:
        fault("%s: PCP5 %s, not %s" % (name, family.pcp, wanted))
    if family.kind != ("counter" if desc.sem == c.PM_SEM_COUNTER else "gauge"):
        fault("%s: TYPE %s" % (name, family.kind))
    oneline = collector.oneline(name)
    if (family.help or "") != oneline:
        fault("%s: HELP %r, not %r" % (name, family.help, oneline))


def values(host, url):
    collector = Collector(host)
    before = collector.fetch()
    text, _ = page_of(url)
    page = Page(text)
    after = collector.fetch()
    by_pcp = {family.pcp[0]: family for family in page.families if family.pcp}
    # What is left of a page are the exporter's own families.
    compared = still = 0
    for name, wanted in before.items():
        kind = collector.descs[name].type
        if kind == collector.c.PM_TYPE_STRING or repr(wanted) != repr(after.get(name)) or TOUCHED.match(name):
            continue
        still += 1
        family = by_pcp.get(name)
        if family is None:
            if wanted:
                fault("%s: has %d values and is not on the page" % (name, len(wanted)))
            continue
        head(collector, name, family)
        series = {labels.get("instid", ""): (labels, value) for _, labels, value, _ in family.samples}
        singular = collector.descs[name].indom == collector.c.PM_INDOM_NULL
        # Of instances that their agent has no name for, there is no series.
        names = {-1: ""} if singular else collector.instances(collector.descs[name].indom)
        wanted = {inst: value for inst, value in wanted.items() if inst in names}
        if len(family.samples) != len(wanted):
            fault("%s: %d series of %d" % (name, len(family.samples), len(wanted)))
        for inst, value in wanted.items():
            found = series.get("" if singular else str(inst))
            if not found:
                fault("%s[%s] is not on the page" % (name, inst))
                continue
            compared += 1
            if not same_number(kind, collector.c, found[1], value):
                fault("%s[%s] is %r and shows as %s" % (name, inst, value, found[1]))
            labels = collector.labels(name, inst)
            if found[0] != labels:
                fault("%s[%s] has labels %s, not %s" % (name, inst, found[0], labels))
    unknown = set(by_pcp) - set(collector.names)
    if unknown:
        fault("metrics that are not there: %s" % sorted(unknown)[:5])
    notes["values"] = "%d metrics, %d still, %d series compared" % (len(before), still, compared)
    if compared < 1000:
        fault("only %d series compared" % compared)


def same(first, second):
    """Both pages have the same series; of names that differ, only how many. Labels may be called as conventions have it."""
    low = lambda name: re.sub("([a-z0-9])([A-Z])", r"\1_\2", name).lower().rstrip("_")
    pages = []
    for url in (first, second):
        page = Page(page_of(url)[0])
        pages.append({})
        for family in page.families:
            if family.name.startswith(OWN):
                continue
            for _, labels, _, _ in family.samples:
                key = frozenset((low(name), value) for name, value in labels.items())
                pages[-1][key] = pages[-1].get(key, 0) + 1
    for labels in set(pages[0]) ^ set(pages[1]):
        fault("only one page has series with %s" % dict(labels))
    for labels in set(pages[0]) & set(pages[1]):
        if pages[0][labels] != pages[1][labels]:
            fault("%d and %d series with %s" % (pages[0][labels], pages[1][labels], dict(labels)))
    notes["same"] = "%d series" % sum(pages[0].values())


def trip(first, second, root, rules):
    """What came back under a root of names, against the original; names below it are the originals'.

    Classic rules of 6.0 lose label sets that have quotes in them, and those of 7.2 keep the escapes of a backslash, as PCP's QA
    has it for either; by the first labels are not compared, and by the second backslashes of instance names.
    """
    import_name = (lambda name: name.replace("\\", "\\\\")) if rules == "7.2" else str
    origin, back = Collector(first), Collector(second, root)
    before, came, after = origin.fetch(), back.fetch(), origin.fetch()
    compared = still = 0
    for name, wanted in before.items():
        desc = origin.descs[name]
        if desc.type == origin.c.PM_TYPE_STRING or repr(wanted) != repr(after.get(name)) or not wanted or TOUCHED.match(name):
            continue
        other = "%s.%s" % (root, name)
        if other not in back.descs:
            fault("%s did not come back" % name)
            continue
        still += 1
        theirs = back.descs[other]
        for what in ("type", "sem"):
            if getattr(desc, what) != getattr(theirs, what):
                fault("%s: %s was %s, is %s" % (name, what, getattr(desc, what), getattr(theirs, what)))
        if str(desc.units) != str(theirs.units):
            fault("%s: units were %s, are %s" % (name, desc.units, theirs.units))
        none = origin.c.PM_INDOM_NULL
        if (desc.indom == none) != (theirs.indom == none):
            fault("%s: instances or one value" % name)
            continue
        names = [{None: ""}, {None: ""}]
        if desc.indom != none:
            known = origin.instances(desc.indom)
            names = [{inst: import_name(text) for inst, text in known.items()}, back.instances(theirs.indom)]
            wanted = {inst: value for inst, value in wanted.items() if inst in names[0]}
        ours = {names[0].get(inst, ""): value for inst, value in wanted.items()}
        shown = {names[1].get(inst, ""): value for inst, value in came.get(other, {}).items()}
        if set(ours) != set(shown):
            fault("%s: of instances %s are lost, %s new" % (name, sorted(set(ours) - set(shown))[:10], sorted(set(shown) - set(ours))[:10]))
        for inst in set(ours) & set(shown):
            compared += 1
            if repr(ours[inst]) != repr(shown[inst]):
                fault("%s[%s] was %r, is %r" % (name, inst, ours[inst], shown[inst]))
        # A label that the second pmcd has for its own reasons (its host's, the PMDA's) is no loss.
        back_at = {names[1].get(inst, ""): inst for inst in came.get(other, {})}
        for inst in wanted if rules == "7.2" else ():
            wants = origin.labels(name, inst)
            at = back_at.get(names[0].get(inst, ""))
            has = back.labels(other, at) if at is not None else wants
            # A name of a label that begins with an underscore is none in PCP 6.0.
            lost = {label for label, value in wants.items() if has.get(label) != value and label[0] != "_" and label not in PLACE}
            if lost:
                fault("%s[%s] lost labels %s of %s, has %s" % (name, inst, lost, wants, has))
    notes["trip"] = "%d metrics still, %d series compared" % (still, compared)
    if compared < 500:
        fault("only %d series compared" % compared)


def strict(*urls):
    """Pages in each format, by the rules of the format alone."""
    for url in urls:
        for accept in (None, "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8", OPENMETRICS):
            text, kind = page_of(url, accept)
            before = len(faults)
            page = Page(text)
            if text.endswith("# EOF\n") != kind.startswith("application/openmetrics-text"):
                fault("# EOF is the end of OpenMetrics, and of nothing else: %s" % kind)
            if kind.startswith("application/openmetrics-text"):
                faults.extend("OpenMetrics has no comments: %.80s" % line for line in text.split("\n") if line.startswith("# PCP5"))
            faults[before:] = ["%s as %s: %s" % (url, accept, text) for text in faults[before:]]
            notes["%s as %s" % (url, kind)] = "%d families" % len(page.families)


def strings(host, url):
    """String metrics show as info metrics with their value in a label."""
    collector = Collector(host)
    before, page, after = collector.fetch(), Page(page_of(url)[0]), collector.fetch()
    shown = {}
    for family in page.families:
        for name, labels, value, _ in family.samples:
            if name.endswith("_info") and "value" in labels:
                shown.setdefault(name, {})[labels.get("instid", "")] = (labels["value"], value)
    compared = 0
    for name, wanted in before.items():
        if collector.descs[name].type != collector.c.PM_TYPE_STRING or wanted != after.get(name):
            continue
        found = shown.get(name.replace(".", "_") + "_info", {})
        singular = collector.descs[name].indom == collector.c.PM_INDOM_NULL
        for inst, text in wanted.items():
            compared += 1
            have = found.get("" if singular else str(inst))
            if have is None or have[0] != text or float(have[1]) != 1:
                fault("%s[%s] is %r and shows as %r" % (name, inst, text, have))
    notes["strings"] = "%d compared" % compared
    if compared < 40:
        fault("only %d strings" % compared)


def main(command, *arguments):
    judge = {"openmetrics": openmetrics, "values": values, "same": same, "trip": trip, "strict": strict, "strings": strings}[command]
    for _ in range(LOOKS):
        faults.clear()
        judge(*arguments)
        if not faults:
            break
    for what, note in notes.items():
        print("%s: %s" % (what, note))
    for text in faults[:FIRST]:
        print("FAULT %s" % text[:2000])
    print("%d faults" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
