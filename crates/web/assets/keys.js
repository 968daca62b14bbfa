// Keys: `?` shows them, `g` and a letter goes somewhere. What is typed into a field stays there.

const GOES_MS = 1500;
let since = 0;

/** Listens for keys. */
export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    if (event.key === "?") {
      event.preventDefault();
      const keys = document.getElementById("keys");
      if (keys && !keys.open) keys.showModal();
      return;
    }
    if (document.querySelector("dialog:modal")) return;
    if (event.key === "g") {
      since = performance.now();
      return;
    }
    if (performance.now() - since < GOES_MS) {
      since = 0;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) location.assign(link.href);
    }
  });
}
