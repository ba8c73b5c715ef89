// Untrusted text, and the only way it gets onto the page: as text nodes.
// Loaded first; knows nothing of traces.
'use strict';

// The same ranges as CONTROL_CHARS in escaping.py.
const CONTROL_CHARS = new RegExp(
  '(?![\\ufffc\\ufffd])[' +
    '\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f' +
    '\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f' +
    '\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f' +
    '\\u3164\\ufeff\\uffa0\\ufff0-\\uffff' +
    '\\ud800-\\udfff' +
    '\\ufe00-\\ufe0d\\u{1d173}-\\u{1d17a}' +
    '\\u{e0000}-\\u{e0fff}]',
  'gu'
);

// Every character that drives or hides, shown as the escape that Python would write.
function escapeControlChars(text) {
  return text.replaceAll('\r\n', '\n').replace(CONTROL_CHARS, (character) => {
    if (character === '\r') return '\\r';
    const code = character.codePointAt(0);
    const hex = (length) => code.toString(16).padStart(length, '0');
    if (code < 0x100) return '\\x' + hex(2);
    return code < 0x10000 ? '\\u' + hex(4) : '\\U' + hex(8);
  });
}

// JSON that is safe to paste into a terminal: the same characters as JSON escapes.
function safeJson(value, indent) {
  return JSON.stringify(value, null, indent).replace(CONTROL_CHARS, (character) =>
    character === '\n'
      ? character
      : Array.from({ length: character.length }, (_, unit) =>
          '\\u' + character.charCodeAt(unit).toString(16).padStart(4, '0')
        ).join('')
  );
}

// An element with a class, properties and children; strings become text nodes.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const child of children) {
    if (child === null || child === undefined || child === '') continue;
    element.append(typeof child === 'string' ? escapeControlChars(child) : child);
  }
  return element;
}

const at = (id) => document.getElementById(id);

function button(label, className, action) {
  const element = make('button', className, label);
  element.type = 'button';
  element.addEventListener('click', action);
  return element;
}

function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

// A length of time, as `seconds` in formatting.py writes it.
function seconds(value) {
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(Math.round(value) / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(value) % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

// The first `rows` lines of `text`, at most `rows * width` characters, and how much is left.
function cutText(text, rows, width) {
  let end = text.indexOf('\n');
  for (let row = 1; row < rows && end >= 0; row++) end = text.indexOf('\n', end + 1);
  const budget = rows * width;
  if (end < 0 || end > budget) end = Math.min(text.length, budget);
  // A rest shorter than the sentence that announces it is not worth cutting.
  if (text.length - end < 60 && !text.slice(end).trim().includes('\n')) return { shown: text, rest: '' };
  if (text.charCodeAt(end - 1) >= 0xd800 && text.charCodeAt(end - 1) < 0xdc00) end -= 1;
  const left = text.slice(end);
  if (!left.trim()) return { shown: text.trimEnd(), rest: '' };
  let lines = 0;
  for (let at = left.indexOf('\n', 1); at >= 0; at = left.indexOf('\n', at + 1)) lines += 1;
  if (left[0] === '\n') lines += 1;
  const rest = lines ? count(lines, 'more line') : count(left.length, 'more character');
  return { shown: text.slice(0, end), rest };
}

// Append `text` (already escaped) to `element`, with what `marks` name highlighted.
// `marks`: a list of {text, className, fold}; `fold` compares without case.
function writeMarked(element, text, marks) {
  const spans = [];
  for (const mark of marks) {
    if (!mark.text) continue;
    const where = mark.fold ? text.toLowerCase() : text;
    // Folding may change the length of exotic text; then nothing is highlighted, nothing is wrong.
    if (where.length !== text.length) continue;
    for (let at = where.indexOf(mark.text); at >= 0 && spans.length < 500; ) {
      spans.push([at, at + mark.text.length, mark.className]);
      at = where.indexOf(mark.text, at + mark.text.length);
    }
  }
  spans.sort((a, b) => a[0] - b[0]);
  let done = 0;
  for (const [start, end, className] of spans) {
    if (start < done) continue;
    element.append(text.slice(done, start));
    const mark = document.createElement('mark');
    mark.className = className;
    mark.textContent = text.slice(start, end);
    element.append(mark);
    done = end;
  }
  element.append(text.slice(done));
}

// JSON data as a person wants to read it: a string as itself, the rest indented.
function readable(value) {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyByHand(text); // no clipboard access, as in some browsers for file:
  }
}

function copyByHand(text) {
  const area = make('textarea', 'offscreen');
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  return done;
}
