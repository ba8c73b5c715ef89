// Replays beside the run that they replay, from the step where they part to how they end.
'use strict';

const MOST_PAIRS = 100; // at first; the rest on demand

class Comparison {
  // box: the element to fill. model: of the run. step: the one that was replayed, or null.
  constructor(box, model, step) {
    Object.assign(this, { box, model, step, shown: null });
    this.chosen = model.replays.map((replay, number) => this.choice(replay, number));
    this.body = make('div', 'compare-body');
    box.append(make('div', 'compare-choices', ...this.chosen), this.body);
  }

  kind(replay) {
    return replay.control ? 'As it was' : 'Corrected';
  }

  choice(replay, number) {
    const same = this.model.replays.filter((other) => other.control === replay.control);
    const which = same.length > 1 ? ` ${same.indexOf(replay) + 1}` : '';
    const ended = replay.missing ? 'not shown' : replay.words.split(':')[0];
    const link = make('a', 'choice', make('b', '', `${this.kind(replay)}${which}`), ` ${ended}`);
    link.href = this.model.hrefReplay(number);
    return link;
  }

  show(number) {
    if (this.shown === number) return;
    this.shown = number;
    this.chosen.forEach((link, i) => (i === number ? link.setAttribute('aria-current', 'true') : link.removeAttribute('aria-current')));
    const replay = this.model.replays[number];
    if (replay.missing) this.body.replaceChildren(make('p', 'compare-lead', `Replay ${replay.trace}: ${replay.missing}.`));
    else this.draw(replay);
  }

  draw(replay) {
    const from = replay.parts ?? this.model.steps.length;
    const steps = [...this.model.steps.slice(0, from), ...replay.steps];
    const again = new Model({ trace: { observed: { steps } }, verdict: null });
    const [left, right] = [this.side(this.model), this.side(again)];
    const changed = this.changes(from, steps);
    left.marks = (index) => (index === from ? changed.left : []);
    right.marks = (index) => (index === from ? changed.right : []);
    right.badges = (step) => (step.attributes?.replay === 'override' ? [make('span', replay.control ? 'badge' : 'badge badge-good', this.kind(replay))] : []);
    const grid = make('div', 'pairs', make('h3', 'pair-title', 'This run'), make('h3', 'pair-title', this.title(replay)));
    this.body.replaceChildren(make('p', 'compare-lead', this.lead(replay)), grid);
    const length = Math.max(this.model.steps.length, steps.length);
    this.pairs(grid, { left, right, steps, from, length });
    this.body.append(this.ends(replay));
    this.body.append(make('p', 'quiet compare-name', `Replay ${replay.trace}`));
  }

  side(model) {
    const state = { open: new Set(), reading: new Set(), earlier: new Set(), query: '' };
    const rows = new StepRows(model, state, { touched: (index) => rows.redraw(index) });
    rows.cells = new Map();
    rows.readsButton = () => null; // what was read is in the timeline
    rows.redraw = (index) => {
      const fresh = rows.body(model.steps[index]);
      rows.cells.get(index).replaceWith(fresh);
      rows.cells.set(index, fresh);
    };
    return rows;
  }

  title(replay) {
    if (this.step === null) return 'Replay';
    return replay.control ? `Replay with step ${this.step} as it was` : `Replay with step ${this.step} corrected`;
  }

  lead(replay) {
    const { parts } = replay;
    if (parts === null) return 'This replay is the same run again, step by step.';
    const same = parts === 0 ? '' : parts === 1 ? 'Step 0 is the same. ' : `Steps 0 to ${parts - 1} are the same. `;
    return `${same}The runs part at step ${parts}.`;
  }

  // Side by side by their number, with a button for what does not fit.
  pairs(grid, { left, right, steps, from, length }) {
    const end = Math.min(length, from + MOST_PAIRS);
    for (let index = from; index < end; index++) {
      grid.append(this.cell(left, this.model.steps[index], 'This run', index), this.cell(right, steps[index], 'Replay', index));
    }
    if (end === length) return;
    const more = button(`${count(length - end, 'more step')}: show`, 'link pair-more', () => {
      more.remove();
      this.pairs(grid, { left, right, steps, from: end, length });
    });
    grid.append(more);
  }

  cell(rows, step, label, index) {
    const cell = make('article', 'pair', make('p', 'pair-label', label));
    if (!step) return cell.append(make('p', 'pair-none', 'had ended')), cell;
    if (rows.model === this.model && index === this.model.decisive) cell.dataset.decisive = 'true';
    const body = rows.body(step);
    rows.cells.set(index, body);
    cell.append(body);
    return cell;
  }

  ends(replay) {
    const end = (outcome, words, label) => {
      const box = make('div', 'pair pair-end', make('p', 'pair-label', label), make('p', 'pair-outcome', words));
      box.dataset.success = String(outcome?.success ?? 'unknown');
      const { shown, rest } = cutText(readable(outcome?.answer ?? '') ?? '', 8, 160);
      if (shown.trim()) box.append(make('p', 'pair-answer', shown, rest ? make('span', 'more', ` … ${rest}`) : null));
      if (outcome?.error) box.append(make('p', 'error', `${outcome.error.type}: ${outcome.error.message ?? ''}`));
      return box;
    };
    const own = this.model.trace.observed.outcome;
    const said = own?.success === false ? 'failed' : own?.success ? 'succeeded' : 'outcome unknown';
    return make('div', 'pairs', end(own, said, 'This run'), end(replay.outcome, replay.words, 'Replay'));
  }

  // What differs in the text of the step where the runs part, if most of it is the same.
  changes(index, steps) {
    const [a, b] = [this.model.steps[index]?.content ?? '', steps[index]?.content ?? ''].map((text) => escapeControlChars(text));
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    start = a.lastIndexOf(' ', start) + 1;
    let tail = 0;
    while (tail < a.length - start && tail < b.length - start && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    if (start + tail < Math.min(a.length, b.length) / 4) return { left: [], right: [] };
    const mark = (text, className) => [{ text: text.slice(start, text.length - tail).trim(), className }];
    return { left: mark(a, 'quote'), right: mark(b, 'good') };
  }
}
