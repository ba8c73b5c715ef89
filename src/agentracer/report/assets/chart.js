// Shares with their 95 % intervals over the rounds, as an SVG drawing.
'use strict';

class RateChart {
  // box: the element to fill. points: [{label, rate, control}]; a rate is {successes, runs, low,
  // high}, `control` one or null.
  constructor(box, points) {
    Object.assign(this, { box, points });
    this.draw();
    new ResizeObserver(() => this.draw()).observe(box);
  }

  draw() {
    const width = this.box.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    this.height = width < 500 ? 200 : 240;
    const margin = { left: 44, right: 10, top: 14, bottom: 28 };
    this.x = (i) => margin.left + ((i + 0.5) / this.points.length) * (width - margin.left - margin.right);
    this.y = (share) => margin.top + (1 - share) * (this.height - margin.top - margin.bottom);
    this.svg = this.shape('svg', { width, height: this.height, role: 'img', 'aria-label': this.inWords() });
    this.axis(margin.left, width - margin.right);
    this.path();
    this.points.forEach((point, i) => this.point(point, i));
    this.box.querySelector('svg')?.remove();
    this.box.prepend(this.svg);
  }

  inWords() {
    return this.points.map(({ label, rate }) => escapeControlChars(`${label}: ${rate.successes} of ${rate.runs} succeed`)).join('; ');
  }

  shape(name, attributes) {
    const shape = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    return shape;
  }

  add(name, attributes, text) {
    const shape = this.shape(name, attributes);
    if (text) shape.textContent = text;
    this.svg.append(shape);
  }

  axis(left, right) {
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      this.add('line', { x1: left, x2: right, y1: this.y(share), y2: this.y(share), class: 'chart-rule' });
      this.add('text', { x: left - 8, y: this.y(share) + 4, class: 'chart-text', 'text-anchor': 'end' }, `${share * 100} %`);
    }
    this.points.forEach(({ label }, i) => {
      this.add('text', { x: this.x(i), y: this.height - 8, class: 'chart-text', 'text-anchor': 'middle' }, escapeControlChars(label));
    });
  }

  path() {
    const at = ({ rate }, i) => `${i ? 'L' : 'M'}${this.x(i)} ${this.y(shareOf(rate))}`;
    this.add('path', { d: this.points.map(at).join(''), class: 'chart-path' });
  }

  point({ rate, control }, i) {
    const x = this.x(i);
    if (control?.runs) this.mark(x + 9, control, 'chart-control', 3.5);
    if (rate.runs) this.mark(x, rate, 'chart-success', 4.5);
  }

  mark(x, rate, className, r) {
    this.add('line', { x1: x, x2: x, y1: this.y(rate.low), y2: this.y(rate.high), class: `${className} chart-whisker` });
    this.add('circle', { cx: x, cy: this.y(shareOf(rate)), r, class: className });
  }
}

function shareOf({ successes, runs }) {
  return runs ? successes / runs : 0;
}
