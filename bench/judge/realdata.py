"""Canary runs cut out of real machines (SMD and ASD, MIT; see data/README.md).

asd       12 application servers of one company, 5-min samples, 45 days; they carry the same load curve (level correlation
          about 0.9 on the traffic columns), so they are real peers. given = servers 1-6, heldout = servers 7-12.
smd       one machine, nodes = different DAYS of that machine at the same time of day (1-min samples). Same scale, real noise and
          autocorrelation, but no shared shocks. given = 1-6, 2-1, 2-7, 3-3 ; heldout = 1-7, 2-2, 2-8, 3-4.
"""
import os
import numpy as np
DATA = os.environ.get("CANARY_BENCH_DATA", os.path.join(os.path.dirname(os.path.abspath(__file__)), "data"))
def there():
    """Whether the recordings are on this machine; they are not part of the repository."""
    return os.path.isfile(os.path.join(DATA, "asd.npz"))
_c = {}
def load(n):
    if n not in _c:
        z = np.load(os.path.join(DATA, n + ".npz"))
        _c[n] = {k: z[k] for k in z.files}
    return _c[n]

def _metrics(cols):
    return [{"name": "m%d" % c, "kind": "gauge", "direction": "both",
             "margin": {"ok": {"rel": 0.20}, "bad": {"rel": 0.50}}} for c in cols]

class World: pass

def make_real(sc, seed, split):
    rng = np.random.default_rng(seed)
    src, mode = sc["src"], sc["mode"]
    onset = 0
    if src == "asd":
        z = load("asd"); H, W, tick_s = 144, 144, 300
        ids = list(range(1, 7)) if split == "given" else list(range(7, 13))
        X = np.stack([z["x%d" % i] for i in ids]); L = np.stack([z["l%d" % i] for i in ids])
        while True:
            if mode == "anomaly":
                segs = [s for s in z["segs"] if s[0] in ids and s[2] - s[1] >= 6 and s[3] >= 2]
                s = segs[rng.integers(len(segs))]
                c0 = ids.index(int(s[0])); onset = int(rng.integers(10, 60)); t0 = int(s[1]) - onset
                rest = rng.permutation([k for k in range(6) if k != c0]); order = np.concatenate([[c0], rest])
            else:
                t0 = int(rng.integers(H, X.shape[1] - W)); order = rng.permutation(6)
            if t0 < H or t0 + W > X.shape[1]:
                continue
            lab = L[order, t0 - H:t0 + W]
            bad = lab[1:].sum() + (lab[0, :H + onset].sum() if mode == "anomaly" else lab[0].sum())
            if bad == 0 or (mode == "anomaly" and lab[0, :H + onset].sum() == 0 and rng.random() < 0.02):
                break
        V = X[order, t0 - H:t0 + W].astype(float) / 60000
        V = 10 + 90 * V
        nc = 2; inj = [3, 4]
    elif src == "smd":
        z = load("smd"); H, W, tick_s = 120, 240, 60
        ms = ["1-6", "2-1", "2-7", "3-3"] if split == "given" else ["1-7", "2-2", "2-8", "3-4"]
        while True:
            if mode == "anomaly":
                codes = [int(m[0]) * 10 + int(m[2]) for m in ms]
                segs = [s for s in z["segs"] if s[0] in codes and s[2] - s[1] >= 20 and s[3] >= 2]
                s = segs[rng.integers(len(segs))]; m = ms[codes.index(int(s[0]))]
                x, l = z["x" + m], z["l" + m]
                onset = int(rng.integers(10, 60)); a0 = int(s[1]) - onset - H
                off = a0 % 1440; d0 = a0 // 1440
            else:
                m = ms[rng.integers(len(ms))]; x, l = z["x" + m], z["l" + m]
                off = int(rng.integers(0, 1440)); d0 = -1
            starts = [d * 1440 + off for d in range(len(x) // 1440) if d * 1440 + off + H + W <= len(x)]
            clean = [a for a in starts if l[a:a + H + W].sum() == 0 and a // 1440 != d0]
            if len(clean) < 10:
                continue
            pick = rng.permutation(clean)[:10]
            if mode == "anomaly":
                if a0 < 0 or a0 + H + W > len(x) or l[a0:a0 + H + onset].sum() > 0:
                    continue
                pick = np.concatenate([[a0], pick[:9]])
            V = np.stack([x[a:a + H + W] for a in pick]).astype(float) / 60000
            break
        V = 10 + 90 * V
        nc = 2; inj = [0, 4]
    else:
        z = load("smd"); H, W, tick_s = 120, 240, 60
        ms = ["2-1", "2-2", "2-7", "2-8"]; n = min(len(z["x" + m]) for m in ms)
        lo, hi = (H, n // 2 - W) if split == "given" else (n // 2 + H, n - W)
        while True:
            t0 = int(rng.integers(lo, hi))
            if sum(int(z["l" + m][t0 - H:t0 + W].sum()) for m in ms) == 0:
                break
        order = rng.permutation(4)
        V = []
        for k in order:
            x = z["x" + ms[k]]
            med = np.median(x[:20000], 0) / 60000.0
            V.append(20 + 80 * (x[t0 - H:t0 + W] / 60000.0 + 0.05) / (med + 0.05))
        V = np.stack(V); nc = 2; inj = []
    if mode == "inject":
        V[:nc, H:, inj] *= 1.5
    n = V.shape[0]
    names = ["c%d" % i for i in range(nc)] + ["b%d" % i for i in range(n - nc)]
    mets = _metrics(list(range(V.shape[2])))
    wd = World()
    wd.header = {"type": "header", "schema": 1, "alpha": 0.05, "beta": 0.05, "tick_seconds": tick_s, "history_ticks": H,
                 "horizon_ticks": W, "warmup_ticks": 0, "canary": names[:nc], "baseline": names[nc:], "metrics": mets}
    Vl = np.round(V, 3).tolist(); mn = [m["name"] for m in mets]
    def tick(i):
        return {"type": "tick", "tick": i - H, "nodes": {nm: dict(zip(mn, Vl[j][i])) for j, nm in enumerate(names)}}
    wd.tick = tick; wd.T, wd.H, wd.W = H + W, H, W
    wd.onset = onset
    return wd
