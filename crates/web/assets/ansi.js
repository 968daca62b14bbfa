// Text of a terminal as spans. Only text nodes and classes are made: what a job prints never becomes markup.

// CSI and OSC sequences, and other two-byte escapes.
const ESCAPE = /\x1b(?:\[([0-9;:]*)([ -/]*[@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** What a terminal would show of a line that was written over: the text behind the last lone carriage return. */
export function settle(line) {
  const pieces = line.split("\r");
  for (let index = pieces.length - 1; index > 0; index -= 1) {
    if (plain(pieces[index]) !== "") return pieces[index];
  }
  return pieces[0];
}

/** The text without escapes. */
export function plain(line) {
  return line.replace(ESCAPE, "").replace(CONTROL, "");
}

/** Appends the line's text to `parent`, coloured. */
export function paint(parent, line) {
  let style = new Set();
  let from = 0;
  for (const match of line.matchAll(ESCAPE)) {
    put(parent, line.slice(from, match.index), style);
    from = match.index + match[0].length;
    if (match[2] === "m") style = restyle(style, match[1]);
  }
  put(parent, line.slice(from), style);
}

function put(parent, text, style) {
  const shown = text.replace(CONTROL, "");
  if (shown === "") return;
  if (style.size === 0) {
    parent.append(shown);
    return;
  }
  const span = document.createElement("span");
  span.className = [...style].join(" ");
  span.textContent = shown;
  parent.append(span);
}

function restyle(before, parameters) {
  let style = new Set(before);
  const numbers = parameters.split(/[;:]/).map(Number);
  const drop = (letter) => { style = new Set([...style].filter((name) => name[0] !== letter)); };
  for (let index = 0; index < numbers.length; index += 1) {
    const number = numbers[index];
    if (number === 0) style = new Set();
    else if (number === 22) { style.delete("a1"); style.delete("a2"); }
    else if (number >= 23 && number <= 29) style.delete(`a${number - 20}`);
    else if ([1, 2, 3, 4, 9].includes(number)) style.add(`a${number}`);
    else if (number === 39) drop("f");
    else if (number === 49) drop("b");
    else if (number === 38 || number === 48) {
      const letter = number === 38 ? "f" : "b";
      drop(letter);
      const long = numbers[index + 1] === 2;
      const near = long ? nearest(numbers.slice(index + 2, index + 5)) : indexed(numbers[index + 2]);
      if (near !== null) style.add(letter + near);
      index += long ? 4 : 2;
    } else {
      const letter = { 3: "f", 4: "b", 9: "f", 10: "b" }[Math.floor(number / 10)];
      if (letter && number % 10 < 8) { drop(letter); style.add(letter + (number % 10)); }
    }
  }
  return style;
}

function indexed(number) {
  if (!(number >= 0 && number < 256)) return null;
  if (number < 16) return number % 8;
  if (number >= 232) return number < 244 ? 0 : 7;
  const cube = number - 16;
  return nearest([Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51]);
}

/** The nearest of the eight colours. */
function nearest([red, green, blue]) {
  const most = Math.max(red, green, blue);
  if (!(most >= 0)) return null;
  if (most < 64) return 0;
  return (red > most / 2 ? 1 : 0) + (green > most / 2 ? 2 : 0) + (blue > most / 2 ? 4 : 0);
}
