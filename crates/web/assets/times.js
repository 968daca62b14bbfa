// Points in time as people say them, durations that grow.

const language = document.documentElement.lang;
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23" });
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** Writes the times of the page now, and then each second. */
export function startTimes() {
  tellTimes();
  setInterval(() => document.hidden || tellTimes(), 1000);
}

/** Writes every time and running duration of the page. */
export function tellTimes() {
  const now = Date.now();
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    write(element, element.dataset.as === "clock" ? clock.format(at) : ago((at - now) / 1000));
    if (element.title !== exact.format(at)) element.title = exact.format(at);
  }
  for (const element of document.querySelectorAll("[data-since]")) {
    write(element, duration((now - Date.parse(element.dataset.since)) / 1000));
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function ago(seconds) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return relative.format(Math.round(seconds / size), unit);
}

/** `1 h 02 min`, `3 min 07 s`, `12 s`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${whole} s`;
}
