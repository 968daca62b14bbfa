// Entry of every page: wires what the page has. Everything here is an improvement; pages work without it.
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";
import { startTimes, tellTimes } from "./times.js";
import { openDialogs, startDialogs } from "./dialogs.js";

const once = new WeakSet();
const parts = [
  ["[data-log]", () => import("./log.js"), "startLog"],
  ["[data-charts]", () => import("./charts.js"), "startCharts"],
];

/** Starts the parts that the page holds now; called again after each refresh. */
async function startParts() {
  for (const [selector, load, start] of parts) {
    for (const element of document.querySelectorAll(selector)) {
      if (once.has(element)) continue;
      once.add(element);
      (await load())[start](element);
    }
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard?.writeText(button.dataset.copy);
  const label = button.querySelector("[data-label]");
  if (!label) return;
  const before = label.textContent;
  label.textContent = button.dataset.done;
  setTimeout(() => { label.textContent = before; }, 1500);
});

for (const name of ["pointerover", "focusin"]) document.addEventListener(name, lightNeeds);
for (const name of ["pointerout", "focusout"]) document.addEventListener(name, dimNeeds);

/** Lights a job and everything that it waits for. */
function lightNeeds(event) {
  const job = event.target.closest?.(".job[data-job]");
  if (!job) return;
  const seen = new Set();
  const visit = (id) => {
    if (!id || seen.has(id)) return;
    seen.add(id);
    const found = document.getElementById(`job-${id}`);
    found?.classList.add("lit");
    found?.dataset.needs?.split(" ").forEach(visit);
  };
  visit(job.dataset.job);
}

function dimNeeds() {
  for (const job of document.querySelectorAll(".job.lit")) job.classList.remove("lit");
}

startTimes();
startKeys();
startDialogs();
startLive(() => {
  tellTimes();
  openDialogs();
  startParts();
});
startParts();

// A link to a line survives the login.
const to = document.querySelector("input[name=to]");
if (to && location.hash) to.value += location.hash;
