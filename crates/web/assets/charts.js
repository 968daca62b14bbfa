// Canary against baseline, metric by metric: the canary's mean, the baseline's mean, and the band of its nodes.

const WIDTH = 320;
const HEIGHT = 120;
const EDGE = { left: 4, right: 4, top: 8, bottom: 16 };
const TICKS_MAX = 1200;
const PERIOD_MS = 1000;
const BREAK_MS = 15_000;
const ORDER = ["http_errors", "latency_ms", "log_error", "log_warn", "mem_bytes", "cpu_pct", "requests"];
const NS = "http://www.w3.org/2000/svg";

/** Starts the charts in `root`; `data-charts` is the address of the ticks. */
export function startCharts(root) {
  new Charts(root);
}

class Charts {
  constructor(root) {
    this.root = root;
    this.names = JSON.parse(root.dataset.names);
    this.figures = new Map();
    this.clear();
    this.load();
    setInterval(() => document.hidden || this.load(), PERIOD_MS);
    new MutationObserver(() => this.draw()).observe(root, { attributes: true, attributeFilter: ["data-marks"] });
  }

  clear() {
    this.ticks = [];
    this.round = null;
    this.quiet = 0;
  }

  async load() {
    if (this.busy) return;
    this.busy = true;
    try {
      // Now and then from the start: another judging may have begun.
      const last = this.quiet % 5 === 4 ? -1 : (this.ticks.at(-1)?.tick ?? -1);
      const answer = await fetch(`${this.root.dataset.charts}?after=${last}`);
      if (answer.ok) this.take(await answer.json(), last);
    } catch {
      // The page's sign says that the connection is lost.
    }
    this.busy = false;
  }

  take(ticks, last) {
    this.quiet = ticks.length && last >= 0 ? 0 : this.quiet + 1;
    if (!ticks.length) return;
    const fresh = ticks[0].round !== this.round || ticks[0].at < (this.ticks[0]?.at ?? 0);
    if (fresh || last < 0) this.ticks = [];
    this.round = ticks[0].round;
    this.ticks = this.ticks.concat(ticks).slice(-TICKS_MAX);
    this.draw();
  }

  draw() {
    const known = new Set(this.ticks.flatMap((tick) => tick.metrics.map((point) => point.metric)));
    const empty = this.root.querySelector("[data-empty]");
    if (empty) empty.hidden = known.size > 0;
    for (const metric of ORDER) if (known.has(metric)) this.figure(metric).draw(this.ticks, this.marks());
  }

  marks() {
    return JSON.parse(this.root.dataset.marks || "[]");
  }

  figure(metric) {
    if (!this.figures.has(metric)) this.figures.set(metric, new Figure(this.root, metric, this.names));
    return this.figures.get(metric);
  }
}

class Figure {
  constructor(root, metric, names) {
    this.metric = metric;
    this.names = names;
    const figure = document.createElement("section");
    figure.className = "card chart";
    const header = document.createElement("header");
    const title = document.createElement("h3");
    title.textContent = names[metric] ?? metric;
    this.read = document.createElement("p");
    this.read.className = "read";
    header.append(title, this.read);
    this.svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.scale = document.createElement("p");
    this.scale.className = "small muted";
    figure.append(header, this.svg, this.scale);
    root.append(figure);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.point(null));
  }

  draw(ticks, marks) {
    this.points = ticks.flatMap((tick) => {
      const found = tick.metrics.find((point) => point.metric === this.metric);
      return found ? [{ at: tick.at, ...found }] : [];
    });
    const values = this.points.flatMap((p) => [p.canary, p.baseline, p.low, p.high]).filter((v) => v !== null);
    if (!values.length) return;
    this.from = ticks[0].at;
    this.to = Math.max(ticks.at(-1).at, this.from + 1000);
    const most = Math.max(...values);
    const least = Math.min(...values, this.metric === "mem_bytes" ? Infinity : 0);
    const room = Math.max((most - least) * 0.08, Math.abs(most) * 0.02) || 1;
    this.low = Math.max(0, least - room);
    this.high = most + room;
    this.paint(marks.filter((mark) => mark.at > this.from && mark.at < this.to));
    this.tell(this.points.at(-1));
  }

  x(at) {
    return EDGE.left + ((at - this.from) / (this.to - this.from)) * (WIDTH - EDGE.left - EDGE.right);
  }

  y(value) {
    const height = HEIGHT - EDGE.top - EDGE.bottom;
    return EDGE.top + height - ((value - this.low) / (this.high - this.low)) * height;
  }

  paint(marks) {
    const shapes = [make("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT - EDGE.bottom, y2: HEIGHT - EDGE.bottom })];
    for (const mark of marks) {
      const line = make("line", { class: "phase", x1: this.x(mark.at), x2: this.x(mark.at), y1: 0, y2: HEIGHT - EDGE.bottom });
      const title = make("title", {});
      title.textContent = mark.name;
      line.append(title);
      shapes.push(line);
    }
    const band = this.points.filter((p) => p.low !== null && p.high !== null);
    const there = band.map((p) => `${this.x(p.at).toFixed(1)},${this.y(p.high).toFixed(1)}`);
    const back = band.map((p) => `${this.x(p.at).toFixed(1)},${this.y(p.low).toFixed(1)}`).reverse();
    shapes.push(make("polygon", { class: "band", points: [...there, ...back].join(" ") }));
    shapes.push(make("path", { class: "base", d: this.path("baseline"), "vector-effect": "non-scaling-stroke" }));
    shapes.push(make("path", { class: "new", d: this.path("canary"), "vector-effect": "non-scaling-stroke" }));
    this.cross = make("line", { class: "cross", x1: -9, x2: -9, y1: 0, y2: HEIGHT - EDGE.bottom });
    shapes.push(this.cross);
    this.svg.replaceChildren(...shapes);
    this.scale.textContent = `${this.value(this.low)} – ${this.value(this.high)}`;
  }

  path(field) {
    let path = "";
    let last = -Infinity;
    for (const point of this.points) {
      if (point[field] === null) continue;
      // A node under little traffic has ticks without a request: the line goes on over them.
      const pen = point.at - last > BREAK_MS ? "M" : "L";
      path += `${pen}${this.x(point.at).toFixed(1)} ${this.y(point[field]).toFixed(1)}`;
      last = point.at;
    }
    return path;
  }

  point(event) {
    if (!this.points?.length) return;
    if (!event) {
      this.cross?.setAttribute("transform", "");
      this.tell(this.points.at(-1));
      return;
    }
    const box = this.svg.getBoundingClientRect();
    const at = this.from + ((event.clientX - box.left) / box.width) * (this.to - this.from);
    const near = this.points.reduce((one, other) => (Math.abs(other.at - at) < Math.abs(one.at - at) ? other : one));
    this.cross?.setAttribute("transform", `translate(${this.x(near.at) + 9} 0)`);
    this.tell(near);
  }

  tell(point) {
    const canary = document.createElement("span");
    canary.className = "is-new";
    canary.textContent = `${this.names.canary} ${this.value(point.canary)}`;
    const baseline = document.createElement("span");
    baseline.className = "is-old";
    baseline.textContent = `${this.names.baseline} ${this.value(point.baseline)}`;
    this.read.replaceChildren(canary, baseline);
    this.svg.setAttribute("aria-label", `${this.names[this.metric] ?? this.metric}: ${this.read.textContent}`);
  }

  value(number) {
    if (number === null || number === undefined) return "–";
    if (this.metric === "mem_bytes") return `${(number / 1048576).toFixed(1)} MiB`;
    const digits = Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
    const unit = { cpu_pct: " %", http_errors: " %", latency_ms: " ms", requests: "/s", log_error: "/s", log_warn: "/s" };
    return number.toFixed(digits) + (unit[this.metric] ?? "");
  }
}

function make(name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
