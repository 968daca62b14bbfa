// Questions before an action. Without this script the link leads to the same question on a page of its own.

/** Opens questions in place. */
export function startDialogs() {
  openDialogs();
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-dialog]");
    const dialog = link && document.getElementById(link.dataset.dialog);
    if (dialog) {
      event.preventDefault();
      dialog.showModal();
      return;
    }
    const close = event.target.closest("[data-close]");
    if (close) {
      event.preventDefault();
      close.closest("dialog")?.close();
    }
    if (event.target.matches?.("dialog:modal")) event.target.close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target.matches?.("a[role=button]")) {
      event.preventDefault();
      event.target.click();
    }
  });
}

/** Questions that the server left open are closed: the script opens them when they are asked for. */
export function openDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open][data-asked]:not(:modal)")) {
    dialog.close();
    dialog.removeAttribute("data-asked");
    dialog.showModal();
  }
}
