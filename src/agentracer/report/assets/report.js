// Puts the page together: the data, the filters, the keys, the links. Loaded last.
'use strict';

const MOST_PIXELS = 16e6; // Firefox stops laying out a little beyond this height
const at = (id) => document.getElementById(id);

// An integer that a double cannot hold stays as it was written, where the browser can do that.
function parseExactly(text) {
  if (!/[:[,]\s*-?\d{16}/.test(text) || !JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context ? JSON.rawJSON(context.source) : value
  );
}

// The data and what follows from it. Everything that a row needs is O(1) here.
class Model {
  constructor({ trace, verdict }) {
    const seen = trace.observed;
    Object.assign(this, { trace, verdict, steps: seen.steps ?? [], messages: seen.messages ?? {}, contexts: seen.contexts ?? [] });
    this.stepsOf = new Map();
    for (const step of this.steps) this.stepsOf.set(step.agent, (this.stepsOf.get(step.agent) ?? 0) + 1);
    this.agents = [...this.stepsOf.keys()];
    this.agentInfo = new Map((seen.agents ?? []).map((info) => [info.name, info]));
    const table = laneTable(this.agents);
    this.lanes = table.lanes;
    this.laneOf = table.of;
    this.kinds = [...new Set(this.steps.map((step) => step.kind ?? 'message'))];
    this.timed = this.steps.length > 1 && this.steps.every((step) => step.started_at !== undefined);
    this.errors = new Set(this.steps.filter((step) => step.error || step.tool_calls?.some((call) => call.error)).map((step) => step.index));
    this.readVerdict();
    this.labels = new Map();
    for (const label of trace.labels ?? []) this.labels.set(label.step, [...(this.labels.get(label.step) ?? []), label]);
  }

  readVerdict() {
    const { verdict } = this;
    const known = (step) => step !== null && step !== undefined && step < this.steps.length;
    this.decisive = known(verdict?.step) ? verdict.step : null;
    this.shortlist = new Map();
    this.quotes = new Map();
    if (this.decisive !== null) this.shortlist.set(this.decisive, 1);
    (verdict?.candidates ?? []).forEach((candidate, rank) => {
      if (known(candidate.step) && !this.shortlist.has(candidate.step)) this.shortlist.set(candidate.step, rank + 1);
      for (const { step, quote } of candidate.evidence ?? []) {
        if (quote) this.quotes.set(step, [...(this.quotes.get(step) ?? []), quote]);
      }
    });
  }

  hasError(index) {
    return this.errors.has(index);
  }

  // Whether step `index` follows on the one before it, rather than running beside it.
  handsOff(index) {
    const [before, step] = [this.steps[index - 1], this.steps[index]];
    return before.ended_at === undefined || step.started_at === undefined || before.ended_at <= step.started_at;
  }

  railX(lane) {
    return (lane + 0.5) * this.laneGap;
  }

  // How many messages the prompt `link` has.
  depth(link) {
    if (!this.depths) {
      this.depths = new Int32Array(this.contexts.length);
      this.contexts.forEach(({ parent }, i) => {
        this.depths[i] = 1 + (parent === null || parent === undefined ? 0 : this.depths[parent]);
      });
    }
    return this.depths[link];
  }

  // The names of the messages of a prompt, oldest first.
  chain(link) {
    const names = [];
    for (let at = link; at !== null && at !== undefined; at = this.contexts[at].parent) names.push(this.contexts[at].message);
    return names.reverse();
  }

  // How many of the messages that a step read its agent had read at an earlier step, and which.
  knownReads(step) {
    for (let i = step.index - 1; i >= 0; i--) {
      const before = this.steps[i];
      if (before.agent !== step.agent || before.reads === undefined) continue;
      let at = step.reads;
      const depth = this.depth(before.reads);
      while (at !== null && at !== undefined && this.depth(at) > depth) at = this.contexts[at].parent;
      return at === before.reads && depth < this.depth(step.reads) ? { known: depth, since: i } : { known: 0 };
    }
    return { known: 0 };
  }

  // All that a search looks at, in lower case; made for all steps at the first search.
  haystack(index) {
    this.haystacks ??= this.steps.map((step) =>
      [step.agent, step.content ?? '', step.error ? JSON.stringify(step.error) : '',
        ...(step.tool_calls ?? []).map((call) => [call.name, readable(call.arguments) ?? '', readable(call.result) ?? '', call.error ? readable(call.error) : ''].join('\n')),
      ].join('\n').toLowerCase()
    );
    return this.haystacks[index];
  }
}

class Report {
  constructor(data) {
    this.data = data;
    this.model = new Model(data);
    this.state = { open: new Set(), reading: new Set(), earlier: new Set(), query: '' };
    this.filter = { agent: '', kind: '', errors: false };
    this.selected = null;
    this.from = 0; // first of the matching rows in the list, where they are too many for one page
    this.fitLanes();
    this.rows = new StepRows(this.model, this.state, { touched: (step) => this.touched(step) });
    this.lanes = new Lanes(at('lanes'), this.model, {
      pick: (agent) => this.setFilter({ agent: this.filter.agent === agent ? '' : agent }),
      go: (step) => this.go(step),
    });
    this.list = new VirtualList(at('steps'), {
      build: (position) => this.buildRow(position),
      estimate: (position) => this.rows.estimate(this.listed[position]),
      covered: () => this.covered(),
      drawn: () => this.follow(),
    });
    this.header();
    this.controls();
    this.keys();
    this.apply();
    window.addEventListener('hashchange', () => this.goToHash());
    document.addEventListener('click', (event) => this.followLink(event));
    this.goToHash();
  }

  fitLanes() {
    const narrow = window.matchMedia('(max-width: 640px)').matches;
    const n = this.model.lanes.length || 1;
    this.model.laneGap = Math.max(6, Math.min(narrow ? 9 : 16, (narrow ? 48 : 128) / n));
    const style = document.documentElement.style;
    style.setProperty('--lane-gap', `${this.model.laneGap}px`);
    style.setProperty('--rail', `${this.model.laneGap * n}px`);
    style.setProperty('--lane-count', n);
  }

  header() {
    const { trace, verdict } = this.model;
    const { words } = this.data;
    const success = trace.observed.outcome?.success;
    at('outcome').append(visible(words.outcome));
    at('outcome').dataset.success = String(success ?? 'unknown');
    at('summary').append(visible(words.summary));
    at('summary').title = visible(trace.id);
    this.longText(at('task'), trace.observed.task || '(no task recorded)', 5);
    const outcome = trace.observed.outcome ?? {};
    const end = (name, value) => {
      if (value === undefined || value === null || value === '') return;
      const text = make('dd', '');
      this.longText(text, readable(value), 3);
      at('ends').append(make('dt', '', name), text);
    };
    end('Answer', outcome.answer);
    end('Expected', trace.ground_truth?.answer);
    end('Checker', trace.ground_truth?.feedback);
    if (outcome.error) end('Error', `${outcome.error.type}: ${outcome.error.message ?? ''}`);
    if (!verdict && !trace.labels?.length) at('verdict').classList.add('verdict-none');
    new VerdictPanel(at('verdict'), this.model, words);
    at('verdict').hidden = false;
  }

  longText(box, text, lines) {
    const { shown, rest } = cutText(text, lines, 160);
    box.append(visible(shown));
    if (!rest) return;
    const more = button(`… ${rest}`, 'more', () => box.replaceChildren(visible(text)));
    box.append(' ', more);
  }

  controls() {
    const option = (value, label) => {
      const item = make('option', '', label);
      item.value = value;
      return item;
    };
    const { model } = this;
    at('agent').append(option('', 'All agents'), ...model.agents.map((name) => option(name, `${name} (${model.stepsOf.get(name)})`)));
    at('kind').append(option('', 'All kinds'), ...model.kinds.map((kind) => option(kind, kind)));
    at('kind').hidden = model.kinds.length < 2;
    at('errors').textContent = count(model.errors.size, 'error');
    at('errors').hidden = !model.errors.size;
    at('axis').hidden = !model.timed;
    at('agent').addEventListener('change', () => this.setFilter({ agent: at('agent').value }));
    at('kind').addEventListener('change', () => this.setFilter({ kind: at('kind').value }));
    at('errors').addEventListener('click', () => this.setFilter({ errors: !this.filter.errors }));
    at('clear').addEventListener('click', () => this.clear());
    at('axis').addEventListener('click', () => this.toggleAxis());
    at('theme').addEventListener('click', () => this.toggleTheme());
    at('help').addEventListener('click', () => at('keys').showModal());
    at('copy').addEventListener('click', () => this.copy());
    at('filters').addEventListener('submit', (event) => event.preventDefault());
    at('search').addEventListener('input', () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.setQuery(at('search').value), this.model.steps.length > 5000 ? 150 : 40);
    });
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => this.lanes.redraw());
    document.documentElement.dataset.theme = this.remembered() ?? '';
  }

  async copy() {
    const done = await copyText(safeJson({ trace: this.data.trace, verdict: this.data.verdict }, 1));
    at('copy').textContent = done ? 'Copied' : 'The browser refused';
    setTimeout(() => (at('copy').textContent = 'Copy JSON'), 1500);
  }

  remembered() {
    try {
      return localStorage.getItem('agentracer-theme');
    } catch {
      return null; // storage may be off for files
    }
  }

  toggleTheme() {
    const root = document.documentElement;
    const system = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    root.dataset.theme = (root.dataset.theme || system) === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem('agentracer-theme', root.dataset.theme);
    } catch {
      // then it lasts as long as the page
    }
    this.lanes.redraw();
  }

  toggleAxis() {
    this.lanes.byTime = !this.lanes.byTime;
    at('axis').setAttribute('aria-pressed', String(this.lanes.byTime));
    this.lanes.redraw();
  }

  // ---- filters

  setFilter(change) {
    Object.assign(this.filter, change);
    at('agent').value = this.filter.agent;
    at('kind').value = this.filter.kind;
    at('errors').setAttribute('aria-pressed', String(this.filter.errors));
    this.lanes.press(this.filter.agent);
    this.apply();
  }

  setQuery(query) {
    if (query.trim() === this.state.query) return;
    this.state.query = query.trim();
    this.apply();
  }

  clear() {
    at('search').value = '';
    this.state.query = '';
    this.setFilter({ agent: '', kind: '', errors: false });
  }

  get filtered() {
    return Boolean(this.state.query || this.filter.agent || this.filter.kind || this.filter.errors);
  }

  matches(step) {
    const { agent, kind, errors } = this.filter;
    if (agent && step.agent !== agent) return false;
    if (kind && (step.kind ?? 'message') !== kind) return false;
    if (errors && !this.model.hasError(step.index)) return false;
    return !this.state.query || this.model.haystack(step.index).includes(this.state.query.toLowerCase());
  }

  apply() {
    this.matching = [];
    for (const step of this.model.steps) if (this.matches(step)) this.matching.push(step.index);
    this.lanes.shown = this.filtered ? new Set(this.matching) : null;
    this.showFrom(0);
    this.lanes.redraw();
    const start = at('bar').getBoundingClientRect().top;
    if (this.selected !== null && this.placeOf(this.selected) >= 0) this.list.reveal(this.placeOf(this.selected));
    else if (start < 0 || window.scrollY > at('steps').offsetTop) at('bar').parentElement.scrollIntoView();
  }

  // List as many of the matching rows, from number `from` on, as a browser can lay out.
  showFrom(from) {
    this.from = from;
    let height = 0;
    let end = from;
    while (end < this.matching.length && height < MOST_PIXELS) height += this.rows.estimate(this.matching[end++]);
    this.listed = this.matching.slice(from, end);
    this.list.reset(this.listed.length);
    const all = this.model.steps.length;
    const some = this.matching.length === all ? '' : `${this.matching.length.toLocaleString('en')} of `;
    at('count').textContent = some + count(all, 'step');
    at('nothing').hidden = this.matching.length > 0 || !this.filtered;
    this.cut(at('cut-before'), from, 'earlier', () => Math.max(0, from - this.listed.length));
    this.cut(at('cut-after'), this.matching.length - end, 'later', () => end);
  }

  cut(box, left, word, next) {
    box.hidden = !left;
    box.replaceChildren(`${count(left, `${word} step`)} not in this list. `, button('Show them', 'link', () => {
      this.showFrom(next());
      at('bar').parentElement.scrollIntoView();
    }));
  }

  // ---- rows

  placeOf(step) {
    let [low, high] = [0, this.listed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.listed[middle] < step) low = middle + 1;
      else high = middle;
    }
    return this.listed[low] === step ? low : -1;
  }

  buildRow(position) {
    const step = this.listed[position];
    return this.rows.build(step, this.listed[position - 1], this.listed[position + 1], step === this.selected);
  }

  touched(step) {
    this.list.refresh(this.placeOf(step));
  }

  covered() {
    return getComputedStyle(at('bar')).position === 'sticky' ? at('bar').offsetHeight : 0;
  }

  follow() {
    const [first, last] = this.list.visibleRange();
    const range = last < first ? [0, -1] : [this.listed[first], this.listed[last]];
    if (range[0] === this.lanes.range[0] && range[1] === this.lanes.range[1]) return;
    this.lanes.range = range;
    this.lanes.paint();
  }

  select(step) {
    const before = this.selected;
    this.selected = step;
    for (const each of [before, step]) if (each !== null) this.touched(each);
    try {
      history.replaceState(null, '', `#step-${step}`);
    } catch {
      // some browsers refuse for files, or after many calls; the page works without
    }
  }

  // Select a step and show it, whatever the filters and the part of the list shown now.
  go(step, gently = false) {
    if (!this.model.steps[step]) return;
    if (!this.matching.includes(step)) this.clear();
    if (this.placeOf(step) < 0) this.showFrom(Math.max(0, this.matching.indexOf(step) - 50));
    this.select(step);
    this.list.reveal(this.placeOf(step), gently);
  }

  goToHash() {
    const found = /^#step-(\d+)$/.exec(location.hash);
    if (!found) return;
    const step = Number(found[1]);
    if (this.quoteIsCut(step)) this.state.open.add(step);
    this.go(step);
  }

  // A link to the step that the address names already would not be followed by the browser.
  followLink(event) {
    const link = event.target instanceof Element ? event.target.closest('a[href^="#step-"]') : null;
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || link.hash !== location.hash) return;
    event.preventDefault();
    this.goToHash();
  }

  // Whether a quoted passage of a step is in what its row does not show while folded.
  quoteIsCut(step) {
    const content = this.model.steps[step]?.content ?? '';
    const { shown } = cutText(content, this.rows.lines, 110);
    return (this.model.quotes.get(step) ?? []).some((quote) => content.indexOf(quote) + quote.length > shown.length);
  }

  // ---- keys

  move(by) {
    if (!this.listed.length) return;
    const [first] = this.list.visibleRange();
    const place = this.selected === null ? -1 : this.placeOf(this.selected);
    const next = place < 0 ? first : Math.max(0, Math.min(this.listed.length - 1, place + by));
    this.go(this.listed[next], true);
  }

  nextError() {
    const from = this.selected ?? -1;
    const next = this.matching.find((step) => step > from && this.model.hasError(step));
    const again = next ?? this.matching.find((step) => this.model.hasError(step));
    if (again !== undefined) this.go(again);
  }

  keys() {
    const onSelected = (set) => this.selected !== null && this.rows.toggle(set, this.selected);
    const actions = {
      j: () => this.move(1),
      k: () => this.move(-1),
      Enter: () => onSelected(this.state.open),
      r: () => this.selected !== null && this.model.steps[this.selected].reads !== undefined && onSelected(this.state.reading),
      d: () => this.model.decisive !== null && this.go(this.model.decisive),
      e: () => this.nextError(),
      t: () => this.toggleTheme(),
      '/': () => at('search').focus(),
      '?': () => at('keys').showModal(),
      Escape: () => this.clear(),
    };
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || at('keys').open) return;
      if (this.keyInField(event)) return;
      const action = Object.hasOwn(actions, event.key) ? actions[event.key] : null;
      if (!action) return;
      event.preventDefault();
      action();
    });
  }

  // Fields keep their keys, but for Enter and Escape in the search; buttons keep Enter.
  keyInField(event) {
    const { target } = event;
    if (target === at('search') && (event.key === 'Enter' || event.key === 'Escape')) {
      if (event.key === 'Escape') this.clear();
      else {
        clearTimeout(this.typing);
        this.setQuery(target.value);
        this.move(0);
      }
      target.blur();
      event.preventDefault();
      return true;
    }
    if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement) return true;
    return event.key === 'Enter' && target instanceof Element && target.closest('button, a, summary') !== null;
  }
}

window.agentracerReport = new Report(parseExactly(at('data').textContent));
document.documentElement.dataset.ready = 'true';
