"""The table of benches/matrix from bench.py's lines, and the marks."""
import json
import sys

runs = {}
for line in open(sys.argv[1]):
    run = json.loads(line)
    case, who = run["label"].rsplit(" ", 1)
    runs.setdefault(case, {})[who] = run

COLUMNS = [
    ("values", "values", "%d"),
    ("CPU s/fetch", "cpu_per_fetch_s", "%.4f"),
    ("fetch ms", "fetch_med_s", "%.4f"),
    ("worst ms", "fetch_max_s", "%.4f"),
    ("all names s", "allnames_s", "%.2f"),
    ("labels ms", "labels_ms_each", "%.3f"),
    ("RSS MB", "rss_mb", "%.1f"),
]
print("%16s %6s" % ("case", "") + "".join("%13s" % title for title, _, _ in COLUMNS))
for case, pair in runs.items():
    if case.startswith("labels-"):
        continue
    for who in ("stock", "ours"):
        run = pair.get(who)
        if not run:
            continue
        shown = "".join("%13s" % (form % (run[key] * (1000 if "ms" == title[-2:] and key.endswith("_s") else 1)) if key in run else "-") for title, key, form in COLUMNS)
        fate = "" if run.get("alive") and run.get("alive_after_labels", True) else "  DROPPED %s" % (run.get("note") or run.get("fetch_errs", [""])[0])
        print("%16s %6s%s%s" % (case, who, shown, fate))
    if len(pair) == 2:
        ratios = []
        for _, key, _ in COLUMNS:
            a, b = (pair[who].get(key) for who in ("stock", "ours"))
            ratios.append("%.1fx" % (a / b) if a and b else "-")
        print("%16s %6s%s" % (case, "ratio", "".join("%13s" % ratio for ratio in ratios)))

missed = 0


def mark(what, is_met, shown):
    global missed
    if is_met is None:
        return print("  -      %s: not measured" % what)
    missed += not is_met
    print("  %-6s %s: %s" % ("MET" if is_met else "MISSED", what, shown))


def get(case, who, key):
    return runs.get(case, {}).get(who, {}).get(key)


def ratio(what, case, key, least):
    stock, ours = get(case, "stock", key), get(case, "ours", key)
    if stock is None or ours is None:
        return mark(what, None, "")
    # Clock ticks: what took none took less than one.
    found = stock / max(ours, 1e-4)
    mark("%s, %s" % (what, case), found >= least, "1/%.0f of stock (at most 1/%d)" % (found, least))


labels = runs.get("labels-100x500", {})
for who, run in labels.items():
    print("%16s %6s  %d names: %.0f us of CPU for the labels of a metric, %.0f us for who asks" % ("labels", who, run["names"], run["label_cpu_us"], run["label_wall_us"]))

print("\nmarks:")
for case in ("100x500", "20x10000"):
    ratio("CPU per fetch", case, "cpu_per_fetch_s", 100)
    ratio("resident memory", case, "rss_mb", 4)
    stock, ours = get(case, "stock", "values"), get(case, "ours", "values")
    mark("as many values, %s" % case, None if None in (stock, ours) else stock == ours, "%s and %s" % (stock, ours))
ratio("all names ready", "100x500", "allnames_s", 20)
ratio("label look-up, CPU", "labels-100x500", "label_cpu_us", 50)
for case, least in (("40x10000", 400_000), ("100x10000", 1_000_000)):
    values, worst = get(case, "ours", "values"), get(case, "ours", "fetch_max_s")
    met = None if values is None else bool(get(case, "ours", "alive")) and values >= least and worst < 5
    mark("%d values in one fetch within 5 s, %s" % (least, case), met, "%s in %s s" % (values, worst))
healthy = get("10x1000", "ours", "fetch_med_s")
for case in ("10x1000-hang1", "10x1000-slow1", "10x1000-drip1"):
    median = get(case, "ours", "fetch_med_s")
    if healthy is None or median is None:
        mark("fetch beside a bad source, %s" % case, None, "")
    elif "slow" in case:
        # It answers within the time limit, after a second: who names it waits for that second.
        beyond = median - 1.0
        mark("fetch that names a slow source within 2x beyond its second, %s" % case, beyond <= 2 * healthy, "%.1f ms beyond" % (beyond * 1e3))
    else:
        shown = "%.1f ms, %.1f times the healthy %.1f ms" % (median * 1e3, median / healthy, healthy * 1e3)
        mark("fetch beside a bad source within 2x, %s" % case, median <= 2 * healthy, shown)
for case, pair in runs.items():
    if "ours" in pair:
        if case.startswith("labels-"):
            continue
        mark("never dropped, %s" % case, bool(pair["ours"].get("alive")), str(pair["ours"].get("note", "alive")))
sys.exit(1 if missed else 0)
