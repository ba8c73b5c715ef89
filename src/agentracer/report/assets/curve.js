// How often replays succeed that keep the run up to a step, above the lanes and on their axis.
// Loaded after the run is open, and only on pages that have such a curve.
'use strict';

class SuccessCurve {
  // report: the open run. Its data say what was measured; see success_curve.py.
  constructor(report) {
    const { model, lanes } = report;
    Object.assign(this, { model, lanes, loss: report.data.curve.loss });
    this.points = report.data.curve.points;
    this.phone = window.matchMedia('(max-width: 640px)').matches;
    this.high = this.phone ? 40 : 56;
    this.margin = 19; // above and below, for the counts
    this.box = make('div', 'curve');
    this.box.style.height = `${this.high + 2 * this.margin}px`;
    this.box.setAttribute('role', 'group');
    this.box.setAttribute('aria-label', 'Success of replays, by the last step kept');
    lanes.box.classList.add('with-curve');
    lanes.box.prepend(this.caption(), this.scale(), this.box);
    this.list = make('ol', 'curve-points');
    this.marks = this.points.map((point, i) => this.mark(point, i));
    this.draw();
    new ResizeObserver(() => this.draw()).observe(this.box);
    at('axis').addEventListener('click', () => this.draw());
  }

  caption() {
    return make('p', 'curve-caption',
      'How often replays succeed that keep the run up to a step and do the rest live. ',
      make('span', 'curve-legend', 'Band: 95 % interval; dashed: not measured in between.'));
  }

  scale() {
    const scale = make('div', 'curve-scale', make('span', '', '100 %'), make('span', '', '0 %'));
    scale.setAttribute('aria-hidden', 'true');
    scale.style.padding = `${this.margin - 8}px 0`;
    return scale;
  }

  // A link to the last step kept, which is also what a screen reader reads.
  mark(point, i) {
    const { step, counted, replays, words } = point;
    const lost = this.loss?.includes(i);
    const known = step !== null && step < this.model.steps.length;
    const name = `${words}${known ? `, ${this.model.steps[step].agent}` : ''}${this.loss?.[1] === i ? '. The decisive step: success is lost here' : ''}`;
    const mark = make(known ? 'a' : 'span', `curve-point${lost ? ' curve-lost' : ''}${replays ? '' : ' curve-unmeasured'}`,
      make('span', 'curve-count', replays ? counted : 'not measured'));
    if (known) mark.href = this.model.href(step);
    else mark.setAttribute('role', 'img');
    mark.setAttribute('aria-label', escapeControlChars(name));
    mark.title = escapeControlChars(name);
    mark.style.setProperty('--size', `${Math.min(11, 5 + Math.sqrt(replays))}px`);
    this.list.append(make('li', '', mark));
    return mark;
  }

  // Where the run stands once the step is taken: the end of its tick in the lanes.
  x({ step }) {
    if (step === null || !this.model.steps.length) return 0;
    return this.axis(Math.min(step, this.model.steps.length - 1))[1] * this.width;
  }

  y(share) {
    return this.margin + (1 - share) * this.high;
  }

  draw() {
    this.width = this.box.clientWidth;
    if (!this.width) return;
    this.axis = axisOf(this.model.steps, this.lanes.byTime);
    const before = this.svg;
    this.svg = this.shape('svg', { width: this.width, height: this.high + 2 * this.margin, 'aria-hidden': 'true' });
    for (const share of [0, 0.5, 1]) this.add('line', { x1: 0, x2: this.width, y1: this.y(share), y2: this.y(share), class: 'curve-rule' });
    const measured = this.points.map((_, i) => i).filter((i) => this.points[i].replays);
    const pairs = measured.slice(1).map((i, before) => [measured[before], i]);
    for (const pair of pairs) this.band(...pair);
    for (const i of measured) this.whisker(this.points[i]);
    for (const pair of pairs) this.line(...pair);
    this.place();
    // The list stays where it is: a point would lose the focus.
    if (before) before.replaceWith(this.svg);
    else this.box.append(this.svg, this.list);
  }

  shape(name, attributes) {
    const shape = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    return shape;
  }

  add(name, attributes) {
    this.svg.append(this.shape(name, attributes));
  }

  isLoss(before, after) {
    return this.loss !== null && this.loss[0] === before && this.loss[1] === after;
  }

  // Prefixes between these two were not replayed.
  isGap(before, after) {
    return this.points[after].prefix > this.points[before].prefix + 1;
  }

  band(before, after) {
    const [a, b] = [this.points[before], this.points[after]];
    const corners = [[this.x(a), a.high], [this.x(b), b.high], [this.x(b), b.low], [this.x(a), a.low]];
    const points = corners.map(([x, share]) => `${x},${this.y(share)}`).join(' ');
    const name = this.isLoss(before, after) ? 'curve-band curve-band-lost' : 'curve-band';
    this.add('polygon', { points, class: this.isGap(before, after) ? `${name} curve-band-gap` : name });
  }

  whisker(point) {
    const x = this.x(point);
    this.add('line', { x1: x, x2: x, y1: this.y(point.low), y2: this.y(point.high), class: 'curve-whisker' });
  }

  line(before, after) {
    const [a, b] = [this.points[before], this.points[after]];
    const name = `curve-line${this.isLoss(before, after) ? ' curve-line-lost' : ''}${this.isGap(before, after) ? ' curve-line-gap' : ''}`;
    this.add('line', { x1: this.x(a), y1: this.y(shareOfReplays(a)), x2: this.x(b), y2: this.y(shareOfReplays(b)), class: name });
  }

  // Put the points in place, with their counts as far as these do not cover one another.
  place() {
    const taken = { above: [], below: [] };
    const last = this.points.length - 1;
    const weight = (i) => (this.loss?.includes(i) ? 2 : i === 0 || i === last ? 1 : 0);
    const order = this.points.map((_, i) => i).sort((a, b) => weight(b) - weight(a) || a - b);
    for (const i of order) {
      const point = this.points[i];
      const [x, share] = [this.x(point), shareOfReplays(point)];
      const side = share >= 0.5 ? 'above' : 'below';
      const count = this.marks[i].firstChild;
      const wide = 6.2 * count.textContent.length + 8;
      const left = Math.max(0, Math.min(this.width - wide, x - wide / 2));
      const free = taken[side].every(([from, to]) => left >= to || left + wide <= from);
      if (free) taken[side].push([left, left + wide]);
      count.hidden = !free;
      Object.assign(count.style, { left: `${left - x + 12}px`, width: `${wide}px` });
      count.dataset.side = side;
      Object.assign(this.marks[i].style, { left: `${x}px`, top: `${this.y(share)}px` });
    }
  }
}

function shareOfReplays({ estimate, replays }) {
  return replays ? estimate : 0;
}

if (window.agentracerReport?.data.curve) window.agentracerCurve = new SuccessCurve(window.agentracerReport);
