// A job's log: only the rows in sight exist; lines come in chunks when they are needed.
import { onTrace } from "./live.js";
import { paint, settle } from "./ansi.js";
import { duration } from "./times.js";

const ROW = 20;
const CHUNK = 1000;
const CHUNKS_MAX = 120;
const OVER = 20;
// Browsers draw no element much higher than this; longer logs are scrolled in proportion.
const HEIGHT_MAX = 12_000_000;
const MARKER = /^section_(start|end):(\d+):([\w.-]+)(?:\[[^\]]*\])?\r\x1b\[0K/;

/** Starts the log in `root`. */
export function startLog(root) {
  new Log(root);
}

class Log {
  constructor(root) {
    this.root = root;
    this.view = root.querySelector(".log-view");
    this.space = root.querySelector(".log-space");
    this.rows = root.querySelector(".log-rows");
    this.followButton = root.querySelector("[data-follow]");
    this.reset();
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.view);
    new MutationObserver(() => this.renewed()).observe(root, { attributes: true });
    this.followButton.addEventListener("click", () => this.follow(true));
    addEventListener("hashchange", () => this.toHash());
    document.addEventListener("keydown", (event) => this.key(event));
    this.view.addEventListener("click", (event) => this.clicked(event));
    root.querySelector("form")?.addEventListener("submit", (event) => this.find(event));
    onTrace((told) => this.grew(told));
    if (!this.toHash()) this.follow(root.dataset.running === "true");
    this.draw();
  }

  reset() {
    this.attempt = this.root.dataset.attempt;
    this.total = Number(this.root.dataset.lines);
    this.chunks = new Map();
    this.asked = new Set();
    this.sections = new Map();
    this.folded = [];
    this.found = [];
    this.drawn = "";
  }

  renewed() {
    if (this.attempt === this.root.dataset.attempt) return;
    this.reset();
    this.follow(true);
  }

  /** The trace has `lines` whole lines and perhaps one more. */
  grew({ lines }) {
    const last = Math.floor(Math.max(0, this.total - 1) / CHUNK);
    this.total = Math.max(this.total, lines);
    // The last chunk was not full when it came.
    this.stale = last;
    this.drawn = "";
    if (this.following) this.toEnd();
    this.draw();
  }

  key(event) {
    if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, textarea, select")) return;
    this.follow(true);
  }

  follow(on) {
    this.following = on;
    this.followButton.setAttribute("aria-pressed", String(on));
    if (on) this.toEnd();
  }

  scrolled() {
    const bottom = this.view.scrollHeight - this.view.clientHeight;
    const top = this.view.scrollTop;
    if (this.following && top < (this.wasTop ?? 0) - 2 && bottom - top > ROW) this.follow(false);
    this.wasTop = top;
    this.draw();
  }

  toEnd() {
    this.size();
    this.view.scrollTop = this.view.scrollHeight;
    this.wasTop = this.view.scrollTop;
    this.draw();
  }

  // Rows and lines: folded sections hide lines.
  rowsCount() {
    return this.total - this.folded.reduce((sum, [from, to]) => sum + (to - from), 0);
  }

  lineOfRow(row) {
    let line = row;
    for (const [from, to] of this.folded) if (line >= from) line += to - from;
    return line;
  }

  rowOfLine(line) {
    let row = line;
    for (const [from, to] of this.folded) if (line >= to) row -= to - from;
    return row;
  }

  size() {
    this.count = this.rowsCount();
    this.height = Math.min(this.count * ROW, HEIGHT_MAX);
    this.space.style.height = `${this.height}px`;
  }

  firstRow() {
    const room = this.view.clientHeight;
    const all = this.count * ROW;
    const far = Math.max(1, this.height - room);
    return Math.floor(((this.view.scrollTop / far) * Math.max(0, all - room)) / ROW);
  }

  draw() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      this.drawNow();
    });
  }

  drawNow() {
    this.size();
    const shown = Math.ceil(this.view.clientHeight / ROW);
    const scaled = this.count * ROW > this.height;
    const at = Math.min(this.firstRow(), Math.max(0, this.count - 1));
    const first = Math.max(0, at - OVER);
    const last = Math.min(this.count, at + shown + OVER);
    const mark = `${first}-${last}-${this.total}-${this.folded.length}-${this.hash}-${scaled && this.view.scrollTop}`;
    if (mark === this.drawn) return;
    this.need(this.lineOfRow(first), this.lineOfRow(Math.max(first, last - 1)));
    const fragment = document.createDocumentFragment();
    let whole = true;
    for (let row = first; row < last; row += 1) {
      const line = this.lineOfRow(row);
      const text = this.text(line);
      if (text === undefined) whole = false;
      fragment.append(this.row(line, text));
    }
    this.keepFocus(() => this.rows.replaceChildren(fragment));
    const place = scaled ? this.view.scrollTop - (at - first) * ROW : first * ROW;
    this.rows.style.transform = `translateY(${Math.max(0, place)}px)`;
    this.drawn = whole ? mark : "";
  }

  keepFocus(change) {
    const active = document.activeElement;
    const line = this.rows.contains(active) ? active.closest(".line")?.dataset.line : null;
    const kind = active?.className;
    change();
    if (line === null || line === undefined) return;
    const again = this.rows.querySelector(`[data-line="${line}"] .${CSS.escape(kind)}`) ?? this.view;
    again.focus({ preventScroll: true });
  }

  row(line, text) {
    const row = document.createElement("div");
    row.className = "line";
    row.dataset.line = line;
    if (line + 1 === this.hash) row.classList.add("at");
    if (this.foundSet?.has(line)) row.classList.add("found");
    const number = document.createElement("a");
    number.className = "ln";
    number.href = `#L${line + 1}`;
    number.textContent = line + 1;
    number.tabIndex = -1;
    row.append(number);
    const { rest, start } = this.parse(line, text ?? "");
    row.append(start ? this.folder(start) : this.gap());
    const content = document.createElement("span");
    paint(content, settle(rest));
    row.append(content);
    const took = start ? this.sections.get(start).took : undefined;
    if (took !== undefined) {
      const note = document.createElement("span");
      note.className = "took";
      note.textContent = duration(took);
      row.append(note);
    }
    return row;
  }

  gap() {
    const gap = document.createElement("span");
    gap.className = "gap";
    return gap;
  }

  folder(name) {
    const button = document.createElement("button");
    button.className = "fold";
    button.type = "button";
    button.dataset.section = name;
    const open = !this.sections.get(name)?.folded;
    button.textContent = open ? "▾" : "▸";
    button.setAttribute("aria-expanded", String(open));
    button.setAttribute("aria-label", name);
    return button;
  }

  /** Takes section markers off a line and remembers the sections. */
  parse(line, text) {
    let rest = text;
    let start = null;
    for (let match = MARKER.exec(rest); match; match = MARKER.exec(rest)) {
      rest = rest.slice(match[0].length);
      const [, word, at, name] = match;
      const section = this.sections.get(name) ?? {};
      if (word === "start") {
        start = name;
        section.first ??= line;
        section.from = Number(at);
      } else {
        section.last = line;
        section.took = Number(at) - (section.from ?? Number(at));
      }
      this.sections.set(name, section);
    }
    return { rest, start };
  }

  async clicked(event) {
    const name = event.target.closest(".fold")?.dataset.section;
    if (!name) return;
    const section = this.sections.get(name);
    if (!section) return;
    section.folded = !section.folded;
    if (section.folded && section.last === undefined) await this.seekEnd(name, section);
    this.fold();
  }

  /** Reads on until the section's end was seen. */
  async seekEnd(name, section) {
    for (let chunk = Math.floor(section.first / CHUNK); chunk * CHUNK < this.total; chunk += 1) {
      const lines = this.chunks.get(chunk) ?? (await this.load(chunk));
      lines?.forEach((text, index) => text.includes("section_end:") && this.parse(chunk * CHUNK + index, text));
      if (section.last !== undefined) return;
    }
    section.last = this.total;
  }

  fold() {
    const hidden = [...this.sections.values()].filter((section) => section.folded && section.last > section.first + 1);
    hidden.sort((one, other) => one.first - other.first);
    this.folded = [];
    for (const { first, last } of hidden) {
      const end = this.folded.at(-1)?.[1] ?? 0;
      if (last > end) this.folded.push([Math.max(first + 1, end), last]);
    }
    this.drawn = "";
    this.draw();
  }

  text(line) {
    return this.chunks.get(Math.floor(line / CHUNK))?.[line % CHUNK];
  }

  need(from, to) {
    for (let chunk = Math.floor(from / CHUNK); chunk <= Math.floor(to / CHUNK); chunk += 1) {
      const short = this.chunks.has(chunk) && chunk === this.stale;
      if (!this.chunks.has(chunk) || short) this.load(chunk);
    }
  }

  async load(chunk) {
    if (this.asked.has(chunk)) return undefined;
    this.asked.add(chunk);
    if (this.stale === chunk) this.stale = undefined;
    const attempt = this.attempt;
    try {
      const answer = await fetch(`${this.root.dataset.log}?from=${chunk * CHUNK}&lines=${CHUNK}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const told = await answer.json();
      if (attempt !== this.attempt) return undefined;
      this.chunks.set(chunk, told.lines);
      this.trim(chunk);
      const more = told.from + told.lines.length;
      this.total = Math.max(this.total, more, told.total);
      told.lines.forEach((text, index) => text.startsWith("section_") && this.parse(chunk * CHUNK + index, text));
      this.drawn = "";
      if (this.following) this.toEnd();
      this.draw();
      return told.lines;
    } catch {
      setTimeout(() => { this.drawn = ""; this.draw(); }, 1000);
      return undefined;
    } finally {
      this.asked.delete(chunk);
    }
  }

  /** Forgets chunks far away from the one just read. */
  trim(near) {
    if (this.chunks.size <= CHUNKS_MAX) return;
    const far = [...this.chunks.keys()].sort((one, other) => Math.abs(other - near) - Math.abs(one - near));
    for (const chunk of far.slice(0, this.chunks.size - CHUNKS_MAX)) this.chunks.delete(chunk);
  }

  toHash() {
    const match = /^#L(\d+)/.exec(location.hash);
    this.hash = match ? Number(match[1]) : 0;
    this.drawn = "";
    if (!match) return false;
    this.follow(false);
    this.total = Math.max(this.total, 1);
    this.toLine(this.hash - 1);
    return true;
  }

  toLine(line) {
    this.size();
    const room = this.view.clientHeight;
    const all = Math.max(1, this.count * ROW - room);
    const wanted = Math.max(0, this.rowOfLine(line) * ROW - room / 3);
    this.view.scrollTop = (wanted / all) * Math.max(1, this.height - room);
    this.wasTop = this.view.scrollTop;
    this.draw();
  }

  /** Searches the whole log on the server; again with the same words: the next place. */
  async find(event) {
    event.preventDefault();
    const words = new FormData(event.target).get("find");
    const note = this.root.querySelector("[data-found]");
    if (words !== this.words) {
      this.words = words;
      this.place = -1;
      const answer = words && (await fetch(`${this.root.dataset.log}?find=${encodeURIComponent(words)}`));
      const told = answer ? await answer.json() : { found: [], more: false };
      this.found = told.found;
      this.more = told.more;
      this.foundSet = new Set(told.found);
    }
    this.place = this.found.length ? (this.place + 1) % this.found.length : -1;
    note.textContent = words ? `${this.place + 1} / ${this.found.length}${this.more ? "+" : ""}` : "";
    if (this.place >= 0) {
      this.follow(false);
      this.toLine(this.found[this.place]);
    }
    this.drawn = "";
    this.draw();
  }
}
