// The rounds of an evolution: success, cost, what changed and why, and what each change did.
'use strict';

const percent = (share) => `${Math.round(share * 100)} %`;

function rateText(rate) {
  if (!rate.runs) return 'not run';
  return `${percent(shareOf(rate))} (${rate.successes.toLocaleString('en')} of ${rate.runs.toLocaleString('en')}, 95 % interval ${percent(rate.low)} to ${percent(rate.high)})`;
}

function costText(cost) {
  const parts = [count(cost.runs, 'run')];
  if (cost.replays) parts.push(count(cost.replays, 'replay'));
  if (cost.model_calls) parts.push(count(cost.model_calls, 'model call'));
  if (cost.tokens) parts.push(count(cost.tokens, 'token'));
  return parts.join(' · ');
}

function effectText(effect) {
  const p = effect.certain ? '' : Math.min(effect.p_harm ?? 1, effect.p_help ?? 1);
  const chance = p === '' || p >= 1 ? '' : `, p = ${p.toPrecision(2)}`;
  return `${effect.finding}: ${effect.wins} better, ${effect.losses} worse, ${effect.ties} as before${chance}`;
}

class Evolution {
  constructor(data) {
    this.data = data;
    this.theme = new Theme(at('theme'), () => {});
    at('copy').addEventListener('click', () => this.copy());
    document.addEventListener('keydown', (event) => {
      if (event.key === 't' && !event.ctrlKey && !event.metaKey && !event.altKey) this.theme.toggle();
    });
    this.head();
    this.chart();
    at('rounds').append(...data.rounds.map((round) => this.round(round)));
    if (data.notes.length) at('notes').append(make('h2', 'section-title', 'Notes'), make('ul', 'notes', ...data.notes.map((note) => make('li', '', note))));
  }

  async copy() {
    const done = await copyText(safeJson(this.data, 1));
    at('copy').textContent = done ? 'Copied' : 'The browser refused';
    setTimeout(() => (at('copy').textContent = 'Copy JSON'), 1500);
  }

  head() {
    const { first, final, unchanged, rounds, effect } = this.data;
    const last = final ?? rounds.at(-1)?.success ?? first;
    at('headline').append(`${percent(shareOf(first))} to ${percent(shareOf(last))} success in ${count(rounds.length, 'round')}`);
    const facts = make('dl', 'run-ends');
    const fact = (name, value) => value && facts.append(make('dt', '', name), make('dd', '', value));
    fact('Before', rateText(first));
    if (final) fact('In the end', rateText(final));
    if (unchanged) fact('Unchanged, beside it', rateText(unchanged));
    if (effect) fact('Effect', effectText(effect));
    fact('Tasks', 'the same in every round; what it does on others was not measured');
    fact('By', [this.data.strategy, this.data.tracer].filter(Boolean).join(' · '));
    fact('Cost', costText(this.data.cost));
    at('facts').replaceWith(facts);
  }

  chart() {
    const { first, rounds, final, unchanged } = this.data;
    const points = [{ label: 'before', rate: first, control: null }];
    for (const round of rounds) points.push({ label: `${at('chart').clientWidth < 500 ? '' : 'round '}${round.round}`, rate: round.success, control: round.control });
    if (final) points.push({ label: 'end', rate: final, control: unchanged });
    this.drawing = new RateChart(at('chart'), points);
    at('chart').append(make('figcaption', '', make('span', 'key key-success'), 'with what was kept', make('span', 'key key-control'),
      'without, in the same round; bars are 95 % intervals'));
  }

  round(round) {
    const box = make('section', 'round', make('h2', 'round-title', `Round ${round.round}`));
    box.id = `round-${round.round}`;
    const facts = [`${count(round.failures, 'failure')} attributed${round.abstained ? `, ${round.abstained} without a verdict` : ''}`, costText(round.cost)];
    box.append(make('p', 'round-rate', rateText(round.success)), make('p', 'quiet', facts.join(' · ')));
    if (!round.changes.length) box.append(make('p', 'quiet', 'Nothing was changed.'));
    const most = 50;
    for (const change of round.changes.slice(0, most)) box.append(this.change(change));
    if (round.changes.length > most) box.append(make('p', 'more', `… ${count(round.changes.length - most, 'more change')}, in the copy as JSON`));
    return box;
  }

  change(change) {
    const fate = make('span', change.kept ? 'badge badge-good' : 'badge', change.kept ? 'Kept' : 'Retracted');
    const box = make('article', 'change', make('header', 'change-head', make('b', '', change.agent), fate), make('p', 'change-says', change.says));
    if (change.why) box.append(make('p', 'change-why', change.why));
    const effect = change.effect ? effectText(change.effect) : '';
    const seen = change.evidence.length ? `seen in ${change.evidence.slice(0, 3).join(', ')}${change.evidence.length > 3 ? ` and ${change.evidence.length - 3} more` : ''}` : '';
    for (const line of [effect, change.note, seen]) if (line) box.append(make('p', 'quiet', line));
    return box;
  }
}

window.agentracerEvolution = new Evolution(JSON.parse(at('data').textContent));
document.documentElement.dataset.ready = 'true';
