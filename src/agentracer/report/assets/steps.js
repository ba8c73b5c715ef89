// One step as a row of the list: who, to whom, what it wrote, called, read, and what went wrong.
'use strict';

const SVG = 'http://www.w3.org/2000/svg';
const MOST_CHARACTERS = 200000; // of one text in an unfolded step; the copy as JSON has all
const DOT = 21; // where in a row its dot sits

class StepRows {
  // model: see report.js. state: {open, reading, earlier: Sets of steps, query}.
  // touched(step): a fold was opened or closed.
  constructor(model, state, { touched }) {
    Object.assign(this, { model, state, touched });
    // A long run is for finding one's way first: shorter excerpts keep its list scrollable.
    this.lines = model.steps.length > 5000 ? 3 : 10;
  }

  // A height that is about right, so that the scroll bar does not jump.
  estimate(index) {
    const step = this.model.steps[index];
    const lines = Math.min(this.lines + 1, Math.ceil((step.content?.length ?? 0) / 90));
    const calls = (step.tool_calls ?? []).length * 76;
    return 58 + lines * 22 + calls + (step.error ? 40 : 0);
  }

  build(index, before, after, selected) {
    const step = this.model.steps[index];
    const row = make('article', 'step', this.rail(index, before, after), this.body(step));
    row.dataset.step = index;
    row.setAttribute('aria-posinset', index + 1);
    row.setAttribute('aria-setsize', this.model.steps.length);
    if (this.model.ranks.has(index)) row.dataset.rank = this.model.ranks.get(index);
    if (index === this.model.decisive) row.dataset.decisive = 'true';
    if (selected) row.setAttribute('aria-current', 'step');
    return row;
  }

  // The part of the lanes beside this row: a line from the step before, a dot, a line onwards.
  rail(index, before, after) {
    const x = (step) => this.model.railX(this.model.laneOf(this.model.steps[step].agent));
    const here = x(index);
    const svg = document.createElementNS(SVG, 'svg');
    const add = (name, attributes) => {
      const shape = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
      svg.append(shape);
    };
    svg.setAttribute('class', 'rail-lines');
    svg.setAttribute('height', DOT + 8);
    if (before === index - 1 && this.model.handsOff(index)) {
      const from = x(before);
      add('path', { d: `M${from} 0C${from} ${DOT * 0.6} ${here} ${DOT * 0.35} ${here} ${DOT}`, class: 'rail-path' });
    }
    add('circle', { cx: here, cy: DOT, r: index === this.model.decisive ? 5.5 : 4, class: 'rail-dot' });
    const rail = make('div', 'rail');
    if (after === index + 1 && this.model.handsOff(after)) {
      const line = make('div', 'rail-on');
      line.style.left = `${here - 0.75}px`;
      rail.append(line);
    }
    rail.append(svg);
    rail.setAttribute('aria-hidden', 'true');
    return rail;
  }

  body(step) {
    const open = this.state.open.has(step.index);
    const body = make('div', 'step-body', this.head(step, open));
    if (step.content?.trim()) body.append(this.text('step-text', step.content, step.index, this.lines));
    (step.tool_calls ?? []).forEach((call, position) => {
      body.append(this.call(call, step.index, this.model.laterResults.get(`${step.index}:${position}`)));
    });
    for (const { caller, call } of this.model.returnsAfter.get(step.index) ?? []) {
      body.append(this.returned(caller, call, step.index));
    }
    if (step.error) body.append(this.error(step.error, open));
    if (open) body.append(...this.extras(step));
    if (this.state.reading.has(step.index)) body.append(this.reads(step));
    return body;
  }

  head(step, open) {
    const number = make('a', 'step-number', String(step.index));
    number.href = this.model.href(step.index);
    number.title = `Step ${step.index}: link to this step`;
    const fold = button('', 'step-fold', () => this.toggle(this.state.open, step.index));
    fold.setAttribute('aria-expanded', String(open));
    fold.setAttribute('aria-label', `${open ? 'Fold' : 'Unfold'} step ${step.index}`);
    return make(
      'header', 'step-head', number, make('b', 'step-agent', step.agent),
      step.to ? make('span', 'step-to', `→ ${step.to}`) : null,
      ...this.badges(step), this.facts(step), fold
    );
  }

  badges(step) {
    const badges = [];
    const rank = this.model.ranks.get(step.index);
    if (step.index === this.model.decisive) badges.push(make('span', 'badge badge-decisive', 'Decisive step'));
    else if (rank) badges.push(make('span', 'badge badge-short', `Shortlist ${rank}`));
    for (const label of this.model.labels.get(step.index) ?? []) {
      const badge = make('span', 'badge', `Label by ${label.source ?? 'human'}`);
      if (label.reason) badge.title = escapeControlChars(label.reason);
      badges.push(badge);
    }
    if (this.model.hasError(step.index)) badges.push(make('span', 'badge badge-error', 'Error'));
    return badges;
  }

  facts(step) {
    const { parent, usage, model } = step;
    const facts = make('span', 'step-facts');
    const add = (item) => item && facts.append(facts.childNodes.length ? ' · ' : '', item);
    if (parent !== undefined) {
      add(make('span', '', 'inside ', this.stepLink(parent)));
    }
    if (this.model.kinds.length > 1 || step.kind === 'llm') add(make('span', '', step.kind ?? 'message'));
    if (model?.name) add(make('span', '', model.name));
    if (step.ended_at !== undefined && step.started_at !== undefined) {
      add(seconds(Math.max(0, step.ended_at - step.started_at)));
    }
    const tokens = (usage?.input_tokens ?? 0) + (usage?.output_tokens ?? 0);
    if (tokens) add(count(tokens, 'token'));
    if (step.reads !== undefined) add(this.readsButton(step));
    return facts;
  }

  readsButton(step) {
    const reads = button(`read ${count(this.model.depth(step.reads), 'message')}`, 'link', () =>
      this.toggle(this.state.reading, step.index)
    );
    reads.setAttribute('aria-expanded', String(this.state.reading.has(step.index)));
    return reads;
  }

  toggle(set, index) {
    if (!set.delete(index)) set.add(index);
    this.touched(index);
  }

  // A text of the trace, cut to `lines` unless its step is unfolded; what is cut is counted.
  text(className, value, index, lines) {
    const box = make('div', className);
    const open = this.state.open.has(index);
    const { shown, rest } = open ? cutText(value, Infinity, MOST_CHARACTERS) : cutText(value, lines, 110);
    const clipped = open && value.length > MOST_CHARACTERS ? value.slice(0, MOST_CHARACTERS) : shown;
    this.write(box, escapeControlChars(clipped.replace(/^\s*\n|\s+$/g, '')), index);
    const left = open ? value.length - clipped.length : 0;
    if (left) box.append(make('p', 'more', `… ${count(left, 'more character')}, in the copy as JSON`));
    if (!open && rest) {
      box.append(' ', button(`… ${rest}`, 'more', () => this.toggle(this.state.open, index)));
    }
    return box;
  }

  // Text, with what stands between fences as the code that it is.
  write(box, text, index) {
    const parts = text.split(/^(```.*)$/m);
    let code = false;
    if (parts.length === 1) writeMarked(box, text, this.marks(index));
    else for (const part of parts) {
      if (part.startsWith('```')) code = !code;
      else if (part.trim()) {
        const piece = make('div', code ? 'mono fenced' : '');
        writeMarked(piece, part.replace(/^\n+|\s+$/g, ''), this.marks(index));
        box.append(piece);
      }
    }
  }

  marks(index) {
    const quotes = this.model.quotes.get(index) ?? [];
    const marks = quotes.map((quote) => ({ text: escapeControlChars(quote).trim(), className: 'quote' }));
    if (this.state.query) marks.push({ text: escapeControlChars(this.state.query).toLowerCase(), className: 'hit', fold: true });
    return marks;
  }

  // after: the step that its result follows, where steps ran inside the call.
  call(call, index, after) {
    const box = make('div', 'call', make('div', 'call-name', call.name));
    const lines = Math.min(this.lines, 6);
    const given = call.arguments;
    if (given && typeof given === 'object' && !Array.isArray(given)) {
      const list = make('dl', 'call-arguments');
      for (const [key, value] of Object.entries(given)) {
        list.append(make('dt', '', key), make('dd', '', this.text('mono', readable(value), index, lines)));
      }
      if (list.childNodes.length) box.append(list);
    } else if (given !== undefined && given !== null && given !== '') {
      box.append(this.text('mono', readable(given), index, lines));
    }
    if (after !== undefined) {
      box.append(make('div', 'call-result call-none', 'returned after ', this.stepLink(after)));
    } else this.appendResult(box, call, index);
    return box;
  }

  // What a call of an earlier step returns, whose last inner step this is.
  returned(caller, call, index) {
    const title = make('div', 'call-name', `${call.name} returns to ${this.model.steps[caller].agent}, `, this.stepLink(caller));
    const box = make('div', 'call', title);
    this.appendResult(box, call, index);
    return box;
  }

  appendResult(box, call, index) {
    if (call.error) box.append(this.error(call.error, this.state.open.has(index)));
    else box.append(this.result(call.result, index, Math.min(this.lines, 6)));
  }

  stepLink(step) {
    const link = make('a', '', `step ${step}`);
    link.href = this.model.href(step);
    return link;
  }

  result(value, index, lines) {
    if (value === undefined || value === null) return make('div', 'call-result call-none', 'no result recorded');
    const text = readable(value);
    if (!text.trim()) return make('div', 'call-result call-none', 'empty result');
    return make('div', 'call-result', this.text('mono', text, index, lines));
  }

  error(error, open) {
    const box = make('div', 'error', make('b', '', error.type), error.message ? ': ' : '');
    const { shown, rest } = cutText(error.message ?? '', open ? Infinity : 6, 2000);
    box.append(escapeControlChars(shown));
    if (rest) box.append(make('span', 'more', ` … ${rest}`));
    if (open && error.traceback) box.append(make('pre', 'mono traceback', error.traceback.trimEnd()));
    return box;
  }

  // What only an unfolded step shows.
  extras(step) {
    const extras = [];
    const facts = { ...(step.model?.parameters ? { parameters: step.model.parameters } : {}), ...step.attributes };
    if (Object.keys(facts).length) {
      const list = make('dl', 'call-arguments step-attributes');
      for (const [key, value] of Object.entries(facts)) {
        list.append(make('dt', '', key), make('dd', '', this.text('mono', readable(value), step.index, 6)));
      }
      extras.push(list);
    }
    const copy = button('Copy step as JSON', 'link', async () => {
      copy.textContent = (await copyText(safeJson(step, 2))) ? 'Copied' : 'The browser refused';
    });
    extras.push(make('p', 'step-actions', copy));
    return extras;
  }

  // The messages that a step read. Those that its agent had read before stay folded.
  reads(step) {
    const links = this.model.chain(step.reads);
    const { known, since } = this.model.knownReads(step);
    const all = this.state.earlier.has(step.index);
    const box = make('section', 'reads');
    if (known) {
      const text = `${count(known, 'message')} already read at step ${since}: ${all ? 'fold' : 'show'}`;
      box.append(button(text, 'link', () => this.toggle(this.state.earlier, step.index)));
    }
    const from = known && !all ? known : 0;
    const most = 400;
    const shown = links.slice(from, from + most);
    for (const link of shown) box.append(this.message(this.model.messages[link], step.index));
    const left = links.length - from - shown.length;
    if (left) box.append(make('p', 'more', `… ${count(left, 'more message')}, in the copy as JSON`));
    return box;
  }

  message(message, index) {
    const who = message.name ? `${message.role} · ${message.name}` : message.role;
    const box = make('div', 'message', make('div', 'message-role', who));
    if (message.content) box.append(this.text('step-text', message.content, index, 6));
    for (const call of message.tool_calls ?? []) {
      box.append(make('div', 'mono', `${call.name}(${JSON.stringify(call.arguments ?? null)})`));
    }
    if (message.parts) box.append(this.text('mono', readable(message.parts), index, 3));
    return box;
  }
}
