#!/usr/bin/env python3
"""Measures the judge on the yardstick and writes the table into bench/README.md, beside the reference judges.

  measure.py                  the whole yardstick, a few minutes
  measure.py --scale 0.1      a quick look; writes nothing
  measure.py --salt X         the same with other seeds; writes nothing
  measure.py --split wide     wider parameters of the simulated service (5 to 12 old nodes, 6 to 30 requests a second, base error
                              rate 0.12 to 0.4 %, autocorrelation 0.85 to 0.93), without recordings; writes nothing
  measure.py --result F.json  writes the table of an earlier run
Needs numpy and scipy. CANARY_BENCH_DATA names the folder of real recordings; without it those scenarios are left out.
"""
import argparse
import os
import subprocess
import sys

from scenarios import SCENARIOS

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
README = os.path.join(ROOT, "bench", "README.md")
BEGIN, END = "<!-- judge: made by bench/judge/measure.py -->\n", "<!-- judge: end -->\n"
SPLITS = {"given": "given", "wide": "heldout"}
REFERENCES = ["av_given", "av_naive_given", "kay_cont_given", "kay_cont_eff_given", "thr_given"]


def judge_program():
    build = ["cargo", "build", "--release", "-p", "serin-bench", "--example", "judge_stdio"]
    subprocess.run(build, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "examples", "judge_stdio")


def run(args, result):
    bench = [sys.executable, os.path.join(HERE, "bench.py"), "run", "--judge", judge_program(), "--name", "serin"]
    bench += ["--split", SPLITS[args.split], "--scale", str(args.scale), "--out", result]
    if args.split == "wide":
        bench += ["--only", ",".join(s["name"] for s in SCENARIOS if s["kind"] == "synth")]
    salt = {"CANARY_BENCH_SALT": args.salt} if args.salt else {}
    subprocess.run(bench, check=True, env={**os.environ, **salt})


def table(result):
    references = [os.path.join(HERE, "results", name + ".json") for name in REFERENCES]
    made = subprocess.run([sys.executable, os.path.join(HERE, "bench.py"), "table", result] + references,
                          check=True, capture_output=True, text=True)
    return made.stdout


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--scale", type=float, default=1.0)
    args.add_argument("--result")
    args.add_argument("--split", choices=SPLITS, default="given")
    args.add_argument("--salt")
    args = args.parse_args()
    result = args.result or os.path.join(HERE, "serin.json")
    if not args.result:
        run(args, result)
    text = table(result)
    print(text)
    if args.scale == 1.0 and args.split == "given" and not args.salt:
        readme = open(README, encoding="utf-8").read()
        before, rest = readme.split(BEGIN)
        after = rest.split(END)[1]
        open(README, "w", encoding="utf-8").write(before + BEGIN + "\n" + text + "\n" + END + after)


if __name__ == "__main__":
    main()
