// Elements, times, durations. What a log says becomes text and nothing else: there is no markup from strings here.

export const $ = (id) => document.getElementById(id);

/** An element with a class, children (texts or elements) and attributes. */
export function el(tag, className, children = [], attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...[children].flat().filter((child) => child !== undefined && child !== null).map(shown));
  return node;
}

const shown = (child) => (child instanceof Node ? child : visible(String(child)));

// Control characters and those that turn the direction of text are shown, not obeyed.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

export function visible(text) {
  return text.replace(HIDDEN, (char) => {
    const code = char.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  });
}

export const firstLine = (text) => (text ?? '').split('\n', 1)[0];

/** `09:31:03.928` of an RFC 3339 time. */
export const clock = (time) => (time ? time.slice(11, 23).replace('Z', '') : '');

export function duration(ms) {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return '';
  if (ms === 0) return '0 ms';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(2)} s`;
  return `${Math.floor(ms / 60000)} m ${Math.round((ms % 60000) / 1000)} s`;
}

/** Milliseconds of an RFC 3339 time in UTC, with all of its fraction: `Date` would cut it at three places. */
export function millis(time) {
  const found = /^(.{19})(\.\d+)?Z$/.exec(time ?? '');
  return found ? Date.parse(`${found[1]}Z`) + Number(found[2] ?? 0) * 1000 : NaN;
}

export function count(number) {
  if (number === undefined || number === null) return '';
  return Math.round(number).toLocaleString('en').replaceAll(',', '\u202f');
}

export const share = (part) => `${(part * 100).toFixed(part < 0.1 && part > 0 ? 1 : 0)} %`;

/** A colour of its own for each service, the same everywhere on the page. */
const known = new Map();
export function serviceColour(service) {
  const name = service ?? '';
  if (!known.has(name)) known.set(name, known.size % 8);
  return `svc${known.get(name)}`;
}
