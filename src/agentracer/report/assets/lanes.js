// The whole run at a glance: one lane an agent, one tick a step, the blamed step in the accent
// colour. Draws on a canvas because a run may have 50,000 steps.
'use strict';

// A phone has no room for more than a few lanes.
const MOST_LANES = window.matchMedia('(max-width: 640px)').matches ? 7 : 12;

// Which lane an agent has. Agents beyond the last lane share it; the label says how many they are.
function laneTable(agents) {
  const own = agents.length > MOST_LANES ? agents.slice(0, MOST_LANES - 1) : agents;
  const lanes = own.map((agent) => ({ label: agent, agent }));
  const shared = agents.length - own.length;
  if (shared) lanes.push({ label: count(shared, 'more agent'), agent: null });
  const index = new Map(own.map((agent, lane) => [agent, lane]));
  return { lanes, of: (agent) => index.get(agent) ?? lanes.length - 1 };
}

// Start and end of each step on a line of length 1, by position or by the clock.
function axisOf(steps, byTime) {
  const n = steps.length;
  if (!byTime) return (i) => [i / n, (i + 1) / n];
  let first = Infinity;
  let last = -Infinity;
  for (const step of steps) {
    first = Math.min(first, step.started_at);
    last = Math.max(last, step.ended_at ?? step.started_at);
  }
  const length = last - first || 1;
  return (i) => [(steps[i].started_at - first) / length, ((steps[i].ended_at ?? steps[i].started_at) - first) / length];
}

class Lanes {
  // box: the element to fill. model: see report.js. pick(agent) and go(step) answer clicks.
  constructor(box, model, { pick, go }) {
    Object.assign(this, { box, model, go });
    this.byTime = false;
    this.shown = null; // a Set of steps that pass the filters; null for all
    this.range = [0, -1];
    this.labels = model.lanes.map(({ label, agent }) => this.label(label, agent, pick));
    this.canvas = make('canvas', 'lanes-canvas');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.picture = document.createElement('canvas');
    box.append(make('div', 'lanes-labels', ...this.labels), this.canvas);
    this.canvas.addEventListener('click', (event) => this.click(event));
    this.canvas.addEventListener('mousemove', (event) => this.hover(event));
    new ResizeObserver(() => this.redraw()).observe(this.canvas);
  }

  label(text, agent, pick) {
    const label = button(text, 'lanes-label', () => agent !== null && pick(agent));
    label.title = escapeControlChars(text);
    if (agent === null) label.disabled = true;
    else label.setAttribute('aria-pressed', 'false');
    return label;
  }

  press(agent) {
    this.model.lanes.forEach((lane, i) => {
      if (lane.agent !== null) this.labels[i].setAttribute('aria-pressed', String(lane.agent === agent));
    });
  }

  ink(name) {
    this.canvas.style.color = `var(--${name})`;
    return getComputedStyle(this.canvas).color;
  }

  // The picture of all steps; made once for a size, a theme and a filter.
  redraw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width) return;
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.picture]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    Object.assign(this, { width, height, ratio, laneHeight: height / this.model.lanes.length });
    this.axis = axisOf(this.model.steps, this.byTime);
    const context = this.picture.getContext('2d');
    context.scale(ratio, ratio);
    this.drawRails(context);
    if (!this.byTime && this.model.steps.length * 4 < width) this.drawHandOffs(context);
    this.drawSteps(context);
    this.paint();
  }

  middle(step) {
    return (this.model.laneOf(this.model.steps[step].agent) + 0.5) * this.laneHeight;
  }

  drawRails(context) {
    context.fillStyle = this.ink('rule');
    this.model.lanes.forEach((_, lane) => context.fillRect(0, Math.round((lane + 0.5) * this.laneHeight), this.width, 1));
  }

  drawHandOffs(context) {
    context.fillStyle = this.ink('faint');
    for (let i = 1; i < this.model.steps.length; i++) {
      if (!this.model.handsOff(i)) continue;
      const [a, b] = [this.middle(i - 1), this.middle(i)];
      context.fillRect(Math.round(this.axis(i)[0] * this.width), Math.min(a, b), 1, Math.abs(a - b));
    }
  }

  drawSteps(context) {
    const { steps } = this.model;
    const inks = { plain: this.ink('muted'), error: this.ink('ink'), away: this.ink('rule') };
    const tall = Math.min(10, this.laneHeight - 4);
    for (let i = 0; i < steps.length; i++) {
      const [start, end] = this.axis(i);
      const error = this.model.hasError(i);
      context.fillStyle = this.shown && !this.shown.has(i) ? inks.away : error ? inks.error : inks.plain;
      const width = Math.max(1, (end - start) * this.width - (steps.length > 200 ? 0 : 1));
      const height = error ? tall : tall - 4;
      context.fillRect(start * this.width, this.middle(i) - height / 2, width, height);
    }
    this.drawBlame(context, tall);
  }

  drawBlame(context, tall) {
    context.fillStyle = this.ink('accent');
    for (const step of this.model.ranks.keys()) {
      const [start, end] = this.axis(step);
      const decisive = step === this.model.decisive;
      const width = Math.max(decisive ? 4 : 2, (end - start) * this.width - 1);
      const x = start * this.width;
      context.globalAlpha = decisive ? 1 : 0.4;
      const height = decisive ? tall : tall - 4;
      context.fillRect(x, this.middle(step) - height / 2, width, height);
      if (decisive) context.fillRect(Math.round(x + width / 2) - 0.5, 0, 1, this.height);
    }
    context.globalAlpha = 1;
  }

  // The picture, and over it the part that the reader sees now.
  paint() {
    if (!this.axis) return;
    const context = this.canvas.getContext('2d');
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    const [first, last] = this.range;
    if (last < first) return;
    context.scale(this.ratio, this.ratio);
    const from = this.axis(first)[0] * this.width;
    const to = Math.max(this.axis(last)[1] * this.width, from + 3);
    context.globalAlpha = 0.08;
    context.fillStyle = this.ink('ink');
    context.fillRect(from, 0, to - from, this.height);
    context.globalAlpha = 1;
  }

  // The step nearest to a place on the canvas, within its lane where that has one nearby.
  stepAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, event.clientY - box.top];
    const lane = Math.floor(y / this.laneHeight);
    let best = 0;
    let least = Infinity;
    for (let i = 0; i < this.model.steps.length; i++) {
      const [start, end] = this.axis(i);
      const other = this.model.laneOf(this.model.steps[i].agent) === lane ? 0 : 8 / box.width;
      const off = Math.max(0, start - x, x - end) + other;
      if (off < least) [best, least] = [i, off];
    }
    return best;
  }

  click(event) {
    this.go(this.stepAt(event));
  }

  hover(event) {
    if (this.model.steps.length > 5000) return; // a linear search at every move would stutter
    const step = this.stepAt(event);
    this.canvas.title = `step ${step}, ${escapeControlChars(this.model.steps[step].agent)}`;
  }
}
