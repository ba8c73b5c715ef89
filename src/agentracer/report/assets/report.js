// The page of one run: the filters, the keys, the links, and what they show.
'use strict';

const MOST_PIXELS = 16e6; // Firefox stops laying out a little beyond this height

class Report {
  // data: see html.py. prefix: see Model.
  constructor(data, prefix = '') {
    this.data = data;
    this.model = new Model(data, prefix);
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
    this.replays();
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
    at('outcome').append(escapeControlChars(words.outcome));
    at('outcome').dataset.success = String(success ?? 'unknown');
    at('summary').append(escapeControlChars(words.summary), trace.parent ? escapeControlChars(` · replays or continues ${trace.parent}`) : '');
    at('summary').title = escapeControlChars(trace.id);
    at('cut-texts').textContent = escapeControlChars(words.cut ?? '');
    at('cut-texts').hidden = !words.cut;
    this.longText(at('task'), trace.observed.task || '(no task recorded)', 5);
    const outcome = trace.observed.outcome ?? {};
    const end = (name, value) => {
      if (value === undefined || value === null || value === '') return;
      const text = make('dd', /\n {2,}\S/.test(readable(value)) ? 'mono' : '');
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

  // The replays of this run, in place of its steps.
  replays() {
    const { replays, verdict } = this.model;
    if (!replays.length) return;
    at('views').hidden = false;
    at('view-replays').textContent = count(replays.length, 'replay');
    this.comparison = new Comparison(at('replays'), this.model, verdict?.step ?? null);
    at('view-steps').addEventListener('click', () => this.view(null));
    at('view-replays').addEventListener('click', () => this.view(this.comparison.shown ?? 0));
  }

  // Show a replay, or the steps where `replay` is null.
  view(replay) {
    if (!this.comparison) return;
    at('replays').hidden = replay === null;
    at('timeline').hidden = replay !== null;
    at('view-steps').setAttribute('aria-pressed', String(replay === null));
    at('view-replays').setAttribute('aria-pressed', String(replay !== null));
    if (replay === null) this.list.draw();
    else this.comparison.show(replay);
    if (at('views').getBoundingClientRect().top < 0) at('views').scrollIntoView();
  }

  longText(box, text, lines) {
    const { shown, rest } = cutText(text, lines, 160);
    box.append(escapeControlChars(shown));
    if (!rest) return;
    const more = button(`… ${rest}`, 'more', () => box.replaceChildren(escapeControlChars(text)));
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
    at('help').addEventListener('click', () => at('keys').showModal());
    at('copy').addEventListener('click', () => this.copy());
    at('filters').addEventListener('submit', (event) => event.preventDefault());
    at('search').addEventListener('input', () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.setQuery(at('search').value), this.model.steps.length > 5000 ? 150 : 40);
    });
    this.theme = new Theme(at('theme'), () => this.lanes.redraw());
  }

  async copy() {
    const done = await copyText(safeJson({ trace: this.data.trace, verdict: this.data.verdict }, 1));
    at('copy').textContent = done ? 'Copied' : 'The browser refused';
    setTimeout(() => (at('copy').textContent = 'Copy JSON'), 1500);
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
      history.replaceState(null, '', this.model.href(step));
    } catch {
      // some browsers refuse for files, or after many calls; the page works without
    }
  }

  // Select a step and show it, whatever the filters and the part of the list shown now.
  go(step, gently = false) {
    if (!this.model.steps[step]) return;
    if (at('timeline').hidden) this.view(null);
    if (!this.matching.includes(step)) this.clear();
    if (this.placeOf(step) < 0) this.showFrom(Math.max(0, this.matching.indexOf(step) - 50));
    this.select(step);
    this.list.reveal(this.placeOf(step), gently);
  }

  goToHash() {
    const replay = this.model.replayOf(location.hash);
    if (replay !== null) {
      this.view(replay);
      if (at('views').getBoundingClientRect().top > innerHeight / 2) at('views').scrollIntoView();
    }
    const step = this.model.stepOf(location.hash);
    if (step === null) return;
    if (this.quoteIsCut(step)) this.state.open.add(step);
    this.go(step);
  }

  // Not left to the browser, which would not follow a link to where the address points already,
  // and in a frame without an address of its own would look for the step in the page around it.
  followLink(event) {
    const link = event.target instanceof Element ? event.target.closest('a[href^="#"]') : null;
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.hash === location.hash) this.goToHash();
    else location.hash = link.hash;
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

  search() {
    if (at('timeline').hidden) this.view(null);
    at('search').focus();
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
      v: () => this.view(at('timeline').hidden ? null : (this.comparison?.shown ?? 0)),
      t: () => this.theme.toggle(),
      '/': () => this.search(),
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
