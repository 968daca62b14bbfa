#!/usr/bin/env python3
"""Canary-judge yardstick.

  bench.py run --judge 'CMD' [--name N] [--split given|heldout] [--only a,b] [--scale 1.0] [--out FILE.json] [--jobs 1]
  bench.py table FILE.json ...            markdown comparison of several results
  bench.py dump --scenario S --rep R      print one stream as JSON lines (for building a judge)
  bench.py list
The judge is ONE long-lived process: it reads JSON lines on stdin and answers on stdout (see SCHEMA.md).
"""
import argparse, hashlib, json, math, os, subprocess, sys, time, resource
from statistics import median
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import world, realdata
from scenarios import SCENARIOS, BY_NAME
try:
    import orjson
    dumps = orjson.dumps
    loads = orjson.loads
except ImportError:
    dumps = lambda o: json.dumps(o, separators=(",", ":")).encode()
    loads = json.loads

def salt(split):
    """given: fixed. heldout: CANARY_BENCH_SALT if set, else the file heldout.salt, else a built-in value."""
    if split == "given":
        return "given-" + os.environ.get("CANARY_BENCH_SALT", "1")
    v = os.environ.get("CANARY_BENCH_SALT")
    p = os.path.join(HERE, "heldout.salt")
    if v:
        return "h-" + v
    return "h-" + (open(p).read().strip() if os.path.exists(p) else "default")

def make(sc, rep, split):
    h = hashlib.sha256(("%s|%s|%d" % (salt(split), sc["name"], rep)).encode()).digest()
    seed = int.from_bytes(h[:8], "big")
    wd = (world.make_world if sc["kind"] == "synth" else realdata.make_real)(sc, seed, split)
    wd.header["stream"] = "s-" + h[8:14].hex()          # opaque: does not name the scenario
    if sc["expect"] in ("pass", "benign", "nopass"):
        wd.onset = 0
    return wd

class Judge:
    def __init__(self, cmd):
        self.p = subprocess.Popen(cmd, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.out = os.fdopen(os.dup(self.p.stdout.fileno()), "rb", 1 << 16)
        self.inp = self.p.stdin
    def send(self, b):
        v = memoryview(b)
        try:
            while v:
                v = v[self.inp.write(v):]
        except BrokenPipeError:
            raise SystemExit("the judge has exited (code %s)" % self.p.poll())
    def run(self, wd):
        self.send(dumps(wd.header) + b"\n")
        self.send(b"".join(dumps(wd.tick(i)) + b"\n" for i in range(wd.H)))      # history: no answers
        res = {"verdict": "open", "tick": wd.W - 1, "why": None}
        for i in range(wd.H, wd.T):
            self.send(dumps(wd.tick(i)) + b"\n")
            ln = self.out.readline()
            if not ln:
                raise RuntimeError("judge closed its stdout at tick %d" % (i - wd.H))
            a = loads(ln)
            if a.get("tick") != i - wd.H:
                raise RuntimeError("answer for tick %r, expected %d" % (a.get("tick"), i - wd.H))
            if a["verdict"] != "continue":
                if a["verdict"] not in ("pass", "fail", "inconclusive"):
                    raise RuntimeError("bad verdict %r" % a["verdict"])
                res = {"verdict": a["verdict"], "tick": i - wd.H, "why": a.get("why")}
                break
        self.send(b'{"type":"end"}\n')
        return res
    def close(self):
        self.inp.close()
        self.p.wait(timeout=30)

def wilson(k, n, z=1.96):
    if n == 0:
        return (0.0, 1.0)
    p = k / n
    d = 1 + z * z / n
    c = p + z * z / (2 * n)
    h = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (round(max(0.0, (c - h) / d), 4), round((c + h) / d, 4))

def run_all(args):
    scs = [BY_NAME[s] for s in args.only.split(",")] if args.only else SCENARIOS
    scs = [s for s in scs if s["kind"] == "synth" or realdata.there()]
    j = Judge(args.judge)
    t00 = time.time()
    rows = []
    for sc in scs:
        t0 = time.time()
        n = max(1, int(round(sc["n"] * args.scale)))
        rs = []
        for rep in range(n):
            wd = make(sc, rep, args.split)
            r = j.run(wd)
            r["onset"] = wd.onset; r["tick_s"] = wd.header["tick_seconds"]; r["W"] = wd.W
            rs.append(r)
        row = summarise(sc, rs)
        row["sec"] = round(time.time() - t0, 1)
        rows.append(row)
        if not args.quiet:
            print("%-18s %-6s n=%-3d fail %5.1f%%  pass %5.1f%%  inconcl/open %5.1f%%  t_fail %s  t_pass %s  (%.1fs) %s" % (
                row["scenario"], row["expect"], row["n"], 100 * row["fail"], 100 * row["pass"], 100 * row["open"],
                row["t_fail"], row["t_pass"], row["sec"], row["why"] or row["held_by"]), flush=True)
    j.close()
    ru = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = {"name": args.name, "judge": args.judge, "split": args.split, "scale": args.scale, "rows": rows,
           "wall_s": round(time.time() - t00, 1), "judge_cpu_s": round(ru.ru_utime + ru.ru_stime, 1), "total": totals(rows)}
    if args.out:
        json.dump(out, open(args.out, "w"), indent=1)
    print_total(out)

BLAME = {"err": "http_errors", "err_pp": "http_errors", "lat_tail": "latency_ms", "lat_all": "latency_ms", "cpu": "cpu_pct", "mem": "mem_mb",
         "leak_pct_per_min": "mem_mb", "warn": "log_warn", "errlog_req": "log_error", "disk": "disk_bytes", "net": "net_bytes"}

def blame(sc):
    b = [BLAME[e["metric"]] for e in sc.get("effects", [])]
    if sc.get("crash"): b.append("missing")
    if sc.get("mode") == "inject": b += sc["blame"]
    return b

def summarise(sc, rs):
    n = len(rs)
    f = [r for r in rs if r["verdict"] == "fail"]; p = [r for r in rs if r["verdict"] == "pass"]
    early = [r for r in f if r["tick"] < r["onset"]]               # alarm before anything was wrong
    det = [r for r in f if r["tick"] >= r["onset"]]
    bl = blame(sc)
    right = [r for r in det if r["why"] and any(x in str(r["why"]) for x in bl)]
    why = {}
    for r in f:
        k = str(r["why"]); why[k] = why.get(k, 0) + 1
    hold = {}
    for r in rs:
        if r["verdict"] == "inconclusive":
            for k in str(r["why"]).split(","): hold[k] = hold.get(k, 0) + 1
    tm = lambda xs: round(median([x["tick"] - x["onset"] for x in xs]), 1) if xs else None
    # restricted mean delay: undetected counts as the whole horizon
    rmd = sum((r["tick"] - r["onset"]) if (r["verdict"] == "fail" and r["tick"] >= r["onset"]) else (r["W"] - r["onset"]) for r in rs) / n
    return {"scenario": sc["name"], "expect": sc["expect"], "kind": sc["kind"], "n": n, "fail": len(f) / n, "pass": len(p) / n,
            "open": 1 - (len(f) + len(p)) / n, "detected": len(det) / n, "right": len(right) / n if bl else None, "early": len(early) / n,
            "n_fail": len(f), "n_pass": len(p), "t_fail": tm(det), "t_pass": tm(p), "delay_frac": rmd / max(1, rs[0]["W"]),
            "tick_s": rs[0]["tick_s"], "why": dict(sorted(why.items(), key=lambda kv: -kv[1])[:3]),
            "held_by": dict(sorted(hold.items(), key=lambda kv: -kv[1])[:5])}

def totals(rows):
    def agg(sel):
        n = sum(r["n"] for r in sel)
        return n, sum(r["n_fail"] for r in sel), sum(r["n_pass"] for r in sel)
    T = {}
    aa = [r for r in rows if r["expect"] in ("pass", "benign")]
    syn = [r for r in aa if r["kind"] == "synth"]; real = [r for r in aa if r["kind"] == "real"]
    for key, sel in (("synthetic", syn), ("real", real)):
        n, f, p = agg(sel)
        if n:
            T["false_alarm_" + key] = {"n": n, "rate": f / n, "ci95": wilson(f, n), "worst": max(((r["fail"], r["scenario"]) for r in sel)),
                                       "pass_rate": p / n}
    ps = [r["t_pass"] for r in aa if r["t_pass"] is not None]
    T["median_t_pass_ticks"] = median(ps) if ps else None
    reg = [r for r in rows if r["expect"] == "fail"]
    if reg:
        T["detect_rate"] = sum(r["detected"] for r in reg) / len(reg)
        rr = [r["right"] for r in reg if r["right"] is not None]
        T["detect_right_metric"] = sum(rr) / len(rr) if rr else None
        T["wrong_pass"] = sum(r["pass"] for r in reg) / len(reg)
        d = [r["t_fail"] for r in reg if r["t_fail"] is not None]
        T["median_t_detect_ticks"] = median(d) if d else None
        T["mean_delay_frac"] = sum(r["delay_frac"] for r in reg) / len(reg)
    np_ = [r for r in rows if r["expect"] == "nopass"]
    if np_:
        T["gap_wrong_pass"] = sum(r["pass"] for r in np_) / len(np_)
    return T

def print_total(o):
    t = o["total"]
    print("\n%s [%s]  wall %.0fs, judge cpu %.0fs" % (o["name"], o["split"], o["wall_s"], o["judge_cpu_s"]))
    for k, v in t.items():
        print("  %-24s %s" % (k, json.dumps(v) if isinstance(v, dict) else v))

def table(files):
    R = [json.load(open(f)) for f in files]
    print("| | " + " | ".join(r["name"] for r in R) + " |")
    print("|---|" + "---|" * len(R))
    def line(lbl, f):
        print("| " + lbl + " | " + " | ".join(f(r) for r in R) + " |")
    pc = lambda x: "-" if x is None else "%.0f%%" % (100 * x)
    pc1 = lambda x: "-" if x is None else "%.1f%%" % (100 * x)
    g = lambda r, *k: __import__("functools").reduce(lambda a, b: None if a is None else a.get(b), k, r["total"])
    line("false alarms, synthetic A/A + benign", lambda r: pc1(g(r, "false_alarm_synthetic", "rate")))
    line("worst scenario", lambda r: "%s %s" % (g(r, "false_alarm_synthetic", "worst")[1], pc(g(r, "false_alarm_synthetic", "worst")[0])) if g(r, "false_alarm_synthetic", "worst") else "-")
    line("false alarms, real A/A", lambda r: pc1(g(r, "false_alarm_real", "rate")))
    line("PASS on synthetic A/A + benign", lambda r: pc(g(r, "false_alarm_synthetic", "pass_rate")))
    line("median ticks to PASS", lambda r: str(g(r, "median_t_pass_ticks")))
    line("detected (mean over regressions)", lambda r: pc(g(r, "detect_rate")))
    line("detected and the right metric named", lambda r: pc(g(r, "detect_right_metric")))
    line("median ticks to FAIL", lambda r: str(g(r, "median_t_detect_ticks")))
    line("mean delay / horizon (miss = 1)", lambda r: "%.2f" % g(r, "mean_delay_frac"))
    line("wrong PASS on regressions", lambda r: pc1(g(r, "wrong_pass")))
    line("PASS on data gaps", lambda r: pc(g(r, "gap_wrong_pass")))
    line("wall seconds", lambda r: "%.0f" % r["wall_s"])
    print()
    print("| scenario (expected) | " + " | ".join(r["name"] for r in R) + " |")
    print("|---|" + "---|" * len(R))
    for i, row in enumerate(R[0]["rows"]):
        def cell(r):
            x = next((y for y in r["rows"] if y["scenario"] == row["scenario"]), None)
            if x is None: return "-"
            s = "F %s" % pc(x["fail"])
            if x["t_fail"] is not None: s += " @%g" % x["t_fail"]
            s += ", P %s" % pc(x["pass"])
            if x["t_pass"] is not None: s += " @%g" % x["t_pass"]
            return s
        line("%s (%s)" % (row["scenario"], row["expect"]), cell)

if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    sp = ap.add_subparsers(dest="cmd", required=True)
    a = sp.add_parser("run")
    a.add_argument("--judge", required=True); a.add_argument("--name", default="judge"); a.add_argument("--split", default="given")
    a.add_argument("--only"); a.add_argument("--scale", type=float, default=1.0); a.add_argument("--out"); a.add_argument("--quiet", action="store_true")
    a = sp.add_parser("table"); a.add_argument("files", nargs="+")
    a = sp.add_parser("dump"); a.add_argument("--scenario", required=True); a.add_argument("--rep", type=int, default=0); a.add_argument("--split", default="given")
    sp.add_parser("list")
    args = ap.parse_args()
    if args.cmd == "run": run_all(args)
    elif args.cmd == "table": table(args.files)
    elif args.cmd == "list":
        for s in SCENARIOS: print(s["name"], s["expect"], s["n"])
    else:
        wd = make(BY_NAME[args.scenario], args.rep, args.split)
        w = sys.stdout.buffer
        w.write(dumps(wd.header) + b"\n")
        for i in range(wd.T): w.write(dumps(wd.tick(i)) + b"\n")
        w.write(b'{"type":"end"}\n')
