// The verdict beside the timeline: who, which step, why, how sure, what else it may have been.
'use strict';

class VerdictPanel {
  constructor(box, model, words) {
    Object.assign(this, { box, model, words });
    const { verdict } = model;
    if (verdict) box.append(...(verdict.abstained ? this.abstention(verdict) : this.blame(verdict)));
    if (verdict?.verification) box.append(this.proof(verdict.verification));
    if (verdict?.candidates?.length) box.append(this.shortlist(verdict));
    if (model.trace.labels?.length) box.append(this.labels(model.trace.labels));
    box.append(this.agents());
    if (verdict) box.append(make('p', 'provenance', words.provenance));
  }

  link(step, ...content) {
    const link = make('a', 'step-link', ...(content.length ? content : [`step ${step}`]));
    link.href = `#step-${step}`;
    if (step >= this.model.steps.length) return make('span', 'step-link', `step ${step}, not in this trace`);
    return link;
  }

  blame(verdict) {
    const parts = [
      make('h2', '', 'Why it failed'),
      make('p', 'blamed', this.link(verdict.step, make('b', '', verdict.agent), ` step ${verdict.step}${this.by(verdict)}`)),
    ];
    if (verdict.reason) parts.push(make('p', 'reason', verdict.reason));
    parts.push(this.confidence(verdict));
    if (verdict.trace_id !== this.model.trace.id) {
      parts.push(make('p', 'warning', `This verdict is about another trace: ${verdict.trace_id}`));
    }
    return parts;
  }

  confidence(verdict) {
    const bar = make('span', 'bar-inner');
    bar.style.width = `${Math.round(verdict.confidence * 100)}%`;
    return make('p', 'confidence', make('span', 'bar-outer', bar), this.words.confidence);
  }

  abstention(verdict) {
    return [make('h2', '', 'Verdict'), make('p', 'blamed abstained', 'No step is blamed'), make('p', 'reason', verdict.abstain_reason)];
  }

  proof(proof) {
    const parts = make('section', `proof proof-${proof.status}`, make('h3', '', 'Verification'), make('p', '', this.words.verification));
    if (proof.note) parts.append(make('p', 'quiet', proof.note));
    if (proof.traces?.length) parts.append(make('p', 'quiet', `Replays: ${proof.traces.slice(0, 10).join(', ')}${proof.traces.length > 10 ? ' …' : ''}`));
    return parts;
  }

  shortlist(verdict) {
    const list = make('ol', 'shortlist');
    for (const candidate of verdict.candidates) list.append(this.candidate(candidate, verdict));
    return make('section', '', make('h3', '', 'Shortlist'), list);
  }

  candidate(candidate, verdict) {
    const { agent, step, probability, reason, evidence } = candidate;
    const item = make('li', step === verdict.step ? 'candidate candidate-first' : 'candidate');
    const share = probability === null || probability === undefined ? '' : `${Math.round(probability * 100)} %`;
    item.append(make('p', 'candidate-line', this.link(step, String(step)), make('span', 'candidate-agent', agent), make('span', 'share', share)));
    if (reason && reason !== verdict.reason) item.append(make('p', 'candidate-reason', reason));
    for (const piece of evidence ?? []) item.append(this.evidence(piece));
    return item;
  }

  evidence(piece) {
    const box = make('div', 'evidence');
    if (piece.quote) box.append(make('q', '', cutText(piece.quote, 4, 60).shown), ' ');
    box.append(make('span', 'evidence-says', piece.says, piece.says ? ' ' : ''), this.link(piece.step));
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

  // Each agent: steps, share of the blame, and folded its prompt and tools.
  // Who acted at the step, where the blame was summed by agent and names another.
  by(verdict) {
    const first = (verdict.candidates ?? [])[0];
    const other = first && first.step === verdict.step && first.agent !== verdict.agent;
    return other ? `, by ${first.agent}` : '';
  }

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
