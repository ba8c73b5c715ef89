// Many runs on one page: who is blamed how often, how they failed, and the list of them.
'use strict';

class RunIndex {
  // rows: see index.py.
  constructor(rows) {
    this.rows = rows;
    this.filter = { agent: null, kind: null, failed: false, query: '' };
    this.theme = new Theme(at('index-theme'), () => {});
    this.head();
    this.groups = [
      this.tally('Blamed', 'agent', (row) => row.agent ?? this.nobody(row), (row) => row.success !== true),
      this.tally('How they ended', 'kind', (row) => row.kind, () => true),
    ];
    at('tallies').append(...this.groups);
    this.list = new VirtualList(at('index-runs'), {
      build: (position) => this.run(this.listed[position]),
      estimate: () => 70,
      covered: () => 0,
      drawn: () => {},
    });
    this.controls();
    this.apply();
  }

  nobody(row) {
    return row.success ? 'succeeded' : 'nobody';
  }

  head() {
    const failed = this.rows.filter((row) => row.success === false).length;
    const agents = new Set(this.rows.map((row) => row.agent).filter(Boolean));
    const proven = this.rows.filter((row) => row.status === 'confirmed').length;
    at('index-title').append(`${count(this.rows.length, 'run')}, ${failed.toLocaleString('en')} failed`);
    const facts = [`${count(agents.size, 'agent')} blamed`, proven ? `${proven.toLocaleString('en')} confirmed by replay` : ''];
    at('index-facts').append(facts.filter(Boolean).join(' · '));
    at('index-failed').hidden = failed === 0 || failed === this.rows.length;
    const outside = this.rows.filter((row) => !row.inside).length;
    at('index-cut').hidden = !outside;
    at('index-cut').append(`${count(outside, 'run')} too large for this file: listed, with no page of their own here.`);
  }

  // How many rows there are of each value, as bars that filter.
  tally(title, name, of, counts) {
    const box = make('section', '', make('h2', '', title));
    const numbers = new Map();
    for (const row of this.rows) if (counts(row)) numbers.set(of(row), (numbers.get(of(row)) ?? 0) + 1);
    const sorted = [...numbers].sort((a, b) => b[1] - a[1]);
    const most = sorted[0]?.[1] ?? 1;
    const shown = sorted.slice(0, 12);
    for (const [value, number] of shown) {
      const bar = make('span', 'tally-bar');
      bar.style.width = `${(number / most) * 100}%`;
      const row = button('', 'tally-row', () => this.set({ [name]: this.filter[name] === value ? null : value }));
      row.append(make('span', 'tally-name', value), bar, make('span', 'tally-number', number.toLocaleString('en')));
      if (name === 'agent') row.classList.add(value === 'nobody' ? 'nobody' : 'blame');
      row.title = escapeControlChars(value);
      row.setAttribute('aria-pressed', 'false');
      row.value = value;
      row.name = name;
      box.append(row);
    }
    if (sorted.length > shown.length) box.append(make('p', 'more', `… ${sorted.length - shown.length} more, in the list`));
    this.of = { ...this.of, [name]: of };
    return box;
  }

  run(number) {
    const row = this.rows[number];
    const blame = make('span', 'index-blame');
    if (row.agent) blame.append(make('b', '', row.agent), ` step ${row.step}`);
    else blame.append(make('span', 'index-more', row.success ? '' : 'nobody is blamed'));
    const doubt = [row.confidence, row.status && `${row.status} by replay`].filter(Boolean).join(' · ');
    const item = make(row.inside ? 'a' : 'div', 'index-run', make('span', 'index-task', row.task), blame,
      make('span', 'index-more', make('b', row.success ? 'good' : '', row.kind), ` · ${count(row.steps, 'step')}${row.when ? ` · ${row.when}` : ''}`),
      make('span', 'index-more', doubt || (row.success ? '' : row.why)));
    if (row.inside) item.href = `#run-${number}`;
    return item;
  }

  controls() {
    let typing = 0;
    at('index-search').addEventListener('input', () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.set({ query: at('index-search').value.trim() }), 60);
    });
    at('index-failed').addEventListener('click', () => this.set({ failed: !this.filter.failed }));
    at('index-clear').addEventListener('click', () => this.clear());
    at('index-filters').addEventListener('submit', (event) => event.preventDefault());
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'Escape') this.clear();
      if (event.target === at('index-search')) return;
      if (event.key === 't') this.theme.toggle();
      if (event.key === 'j' || event.key === 'k') this.move(event.key === 'j');
      if (event.key !== '/') return;
      event.preventDefault();
      at('index-search').focus();
    });
  }

  // Focus the next run with a page, or the one before; Enter then opens it.
  move(on) {
    const links = [...at('index-runs').querySelectorAll('a')];
    const here = links.indexOf(document.activeElement);
    const next = links[here < 0 ? 0 : here + (on ? 1 : -1)];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  }

  clear() {
    at('index-search').value = '';
    this.set({ agent: null, kind: null, failed: false, query: '' });
  }

  set(change) {
    Object.assign(this.filter, change);
    at('index-failed').setAttribute('aria-pressed', String(this.filter.failed));
    for (const row of at('tallies').querySelectorAll('.tally-row')) {
      row.setAttribute('aria-pressed', String(this.filter[row.name] === row.value));
    }
    this.apply();
  }

  matches(row) {
    const { agent, kind, failed, query } = this.filter;
    if (failed && row.success !== false) return false;
    if (agent !== null && this.of.agent(row) !== agent) return false;
    if (kind !== null && row.kind !== kind) return false;
    return !query || [row.task, row.id, row.agent, row.why, row.kind].join('\n').toLowerCase().includes(query.toLowerCase());
  }

  apply() {
    this.listed = [];
    this.rows.forEach((row, number) => this.matches(row) && this.listed.push(number));
    const some = this.listed.length === this.rows.length ? '' : `${this.listed.length.toLocaleString('en')} of `;
    at('index-count').textContent = some + count(this.rows.length, 'run');
    at('index-nothing').hidden = this.listed.length > 0;
    this.list.reset(this.listed.length);
  }
}
