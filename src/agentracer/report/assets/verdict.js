// The verdict beside the timeline: who, which step, why, how sure, what else it may have been.
'use strict';

class VerdictPanel {
  constructor(box, model, words) {
    Object.assign(this, { box, model, words });
    const { verdict } = model;
    if (verdict) box.append(...(verdict.abstained ? this.abstention(verdict) : this.blame(verdict)));
    if (verdict?.verification) box.append(this.proof(verdict.verification));
    if (model.shortlist?.entries.length) box.append(this.shortlist(model.shortlist));
    if (verdict?.notes?.length) box.append(this.notes(verdict));
    if (model.trace.labels?.length) box.append(this.labels(model.trace.labels));
    box.append(this.agents());
    if (verdict) box.append(make('p', 'provenance', words.provenance));
  }

  link(step, ...content) {
    const link = make('a', 'step-link', ...(content.length ? content : [`step ${step}`]));
    link.href = this.model.href(step);
    if (step >= this.model.steps.length) return make('span', 'step-link', `step ${step}, not in this trace`);
    return link;
  }

  blame(verdict) {
    const blamed = this.words.reading_list
      ? make('p', 'blamed abstained', this.words.reading_list)
      : make('p', 'blamed', this.link(verdict.step, make('b', '', verdict.agent), ` step ${verdict.step}${this.by(verdict)}`));
    const parts = [make('h2', '', this.words.headline), blamed];
    if (verdict.reason) parts.push(make('p', 'reason', verdict.reason));
    parts.push(this.confidence(verdict));
    if (this.words.settling) parts.push(make('p', 'quiet', this.words.settling));
    if (verdict.trace_id !== this.model.trace.id) {
      parts.push(make('p', 'warning', `This verdict is about another trace: ${verdict.trace_id}`));
    }
    return parts;
  }

  // The bar is drawn for a measured probability only.
  confidence(verdict) {
    if (!verdict.calibrated) return make('p', 'confidence', this.words.confidence);
    const bar = make('span', 'bar-inner');
    bar.style.width = `${Math.round(verdict.confidence * 100)}%`;
    return make('p', 'confidence', make('span', 'bar-outer', bar), this.words.confidence);
  }

  abstention(verdict) {
    return [make('h2', '', 'Verdict'), make('p', 'blamed abstained', this.words.headline), make('p', 'reason', verdict.abstain_reason)];
  }

  proof(proof) {
    const box = make('section', `proof proof-${proof.status}`, make('h3', '', 'Verification'),
      make('p', 'proof-status', `${proof.status} by replay`));
    const [without, control] = proof.method === 'prefixes' ? ['step live', 'step kept'] : ['step corrected', 'as it was'];
    box.append(this.tally(without, proof.flips, proof.replays), this.tally(control, proof.control_flips, proof.control_replays));
    if (proof.note) box.append(make('p', 'quiet', proof.note));
    box.title = escapeControlChars(this.words.verification);
    const { replays } = this.model;
    const shown = replays.findIndex((replay) => !replay.missing);
    if (shown >= 0) {
      const link = make('a', 'proof-link', 'Compare the runs side by side');
      link.href = this.model.hrefReplay(shown);
      box.append(make('p', '', link));
    } else if (proof.traces?.length) {
      box.append(make('p', 'quiet', `Replays: ${proof.traces.slice(0, 10).join(', ')}${proof.traces.length > 10 ? ` … ${proof.traces.length - 10} more` : ''}`));
    }
    return box;
  }

  // One dot a replay, filled where it succeeded, and the counts.
  tally(label, succeeded, all) {
    const dots = make('span', 'dots');
    dots.setAttribute('aria-hidden', 'true');
    for (let i = 0; i < Math.min(all, 24); i++) dots.append(make('i', i < succeeded ? 'dot dot-full' : 'dot'));
    return make('p', 'tally', make('span', 'tally-label', label), dots, make('span', 'tally-count', all ? `${succeeded} of ${all} succeed` : 'not run'));
  }

  // What the reader should know of how the verdict was reached.
  notes(verdict) {
    const list = make('ul', 'notes');
    for (const note of verdict.notes ?? []) list.append(make('li', '', note));
    return make('section', '', make('h3', '', 'Notes'), list);
  }

  // The steps of which one is decisive with a measured probability.
  likely({ lead, steps, more }) {
    const line = make('p', 'likely', `${lead[0].toUpperCase()}${lead.slice(1)} `);
    steps.forEach((step, i) => line.append(i ? ', ' : '', this.link(step, String(step))));
    if (more) line.append(` and ${more.toLocaleString('en')} more`);
    return line;
  }

  // What is shown and what is counted was decided in shortlist.py; here the rest can be unfolded.
  shortlist({ entries, more, likely }) {
    const list = make('ol', 'shortlist');
    list.append(...entries.map((entry) => this.entry(entry)));
    const unfold = more.length
      ? button(`… ${count(more.length, 'more candidate')}`, 'more', () => {
          list.append(...more.map((entry) => this.entry(entry)));
          unfold.remove();
        })
      : null;
    return make('section', '', make('h3', '', 'Shortlist'), list, unfold, likely ? this.likely(likely) : null);
  }

  entry({ agent, step, decisive, share, reason, evidence, more_evidence: rest }) {
    const item = make('li', decisive ? 'candidate candidate-first' : 'candidate');
    item.append(make('p', 'candidate-line', this.link(step, String(step)), make('span', 'candidate-agent', agent), make('span', 'share', share)));
    if (reason) item.append(make('p', 'candidate-reason', reason));
    item.append(...evidence.map((piece) => this.evidence(piece, step)));
    if (rest.length) {
      const more = button(`… ${rest.length} more`, 'more', () => more.replaceWith(...rest.map((piece) => this.evidence(piece, step))));
      item.append(more);
    }
    return item;
  }

  // The quote leads to where it was said; the number is added where that is another step.
  evidence(piece, own) {
    const box = make('div', 'evidence');
    if (piece.quote) box.append(this.link(piece.step, make('q', '', cutText(piece.quote, 4, 60).shown)), ' ');
    box.append(make('span', 'evidence-says', piece.says, piece.says ? ' ' : ''));
    if (piece.step !== own) box.append(this.link(piece.step));
    return box;
  }

  labels(labels) {
    const section = make('section', '', make('h3', '', 'Labels'));
    for (const label of labels) {
      section.append(make('p', 'candidate-line', this.link(label.step, String(label.step)),
        make('span', 'candidate-agent', label.agent), make('span', 'share', label.source ?? 'human')));
      if (label.reason) section.append(make('p', 'candidate-reason', label.reason));
    }
    return section;
  }

  // Who acted at the step, where the blame was summed by agent and names another.
  by(verdict) {
    const first = (verdict.candidates ?? [])[0];
    const other = first && first.step === verdict.step && first.agent !== verdict.agent;
    return other ? `, by ${first.agent}` : '';
  }

  // Each agent: steps, share of the blame, and folded its prompt and tools.
  agents() {
    const section = make('section', 'agents', make('h3', '', 'Agents'));
    const share = this.model.verdict?.agents ?? {};
    const shown = this.model.agents.slice(0, 100);
    for (const name of shown) section.append(this.agent(name, share[name]));
    const left = this.model.agents.length - shown.length;
    if (left) section.append(make('p', 'more', `… ${count(left, 'more agent')}, in the filter`));
    return section;
  }

  agent(name, share) {
    const info = this.model.agentInfo.get(name);
    const steps = count(this.model.stepsOf.get(name) ?? 0, 'step');
    const facts = share === undefined ? steps : `${steps}, ${Math.round(share * 100)} % of blame`;
    const line = [make('span', 'candidate-agent', name), make('span', 'share', facts)];
    if (!info?.system_prompt && !info?.tools?.length && !info?.role) return make('p', 'candidate-line', ...line);
    const box = make('details', '', make('summary', 'candidate-line', ...line));
    box.addEventListener('toggle', () => box.childNodes.length === 1 && box.append(...this.described(info)));
    return box;
  }

  described(info) {
    const parts = [];
    if (info.role) parts.push(make('p', 'candidate-reason', info.role));
    if (info.system_prompt) parts.push(make('div', 'prompt', info.system_prompt));
    for (const tool of info.tools ?? []) {
      parts.push(make('p', 'candidate-reason', make('code', '', tool.name), tool.description ? ` ${tool.description}` : ''));
    }
    return parts;
  }
}
