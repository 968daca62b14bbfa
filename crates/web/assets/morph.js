// Makes one tree like another with as few changes as possible, so that focus, selection, scroll and open parts stay.

const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset?.key || "" : "");
const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

/** Makes `from` like `to`; `to` is used up. Elements with `data-keep` keep their content. */
export function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== 1) {
    if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
    return;
  }
  attributes(from, to);
  if (from.hasAttribute("data-keep")) return;
  if (from.matches("input, select, textarea")) return;
  children(from, to);
}

// What the person changed in the page is the person's.
const personal = (element, name) =>
  (name === "open" && element.matches("details, dialog")) || (name === "value" && element === document.activeElement);

function attributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !personal(from, name)) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value && !personal(from, name)) from.setAttribute(name, value);
  }
}

function children(from, to) {
  const keyed = new Map();
  for (const child of from.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    let match = key ? keyed.get(key) : place;
    if (match && !alike(match, wanted)) match = null;
    if (!match) {
      from.insertBefore(wanted, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else from.insertBefore(match, place);
    morph(match, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
