// The data of one run and what follows from it; nothing of this draws.
'use strict';

// An integer that a double cannot hold stays as it was written, where the browser can do that.
function parseExactly(text) {
  if (!/[:[,]\s*-?\d{16}/.test(text) || !JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context ? JSON.rawJSON(context.source) : value
  );
}

// The data and what follows from it. Everything that a row needs is O(1) here.
class Model {
  // prefix: what the address of a step begins with, where the page holds several runs.
  constructor({ trace, verdict, shortlist, replays, returns }, prefix = '') {
    const seen = trace.observed;
    Object.assign(this, { trace, verdict, shortlist, prefix, replays: replays ?? [], steps: seen.steps ?? [], messages: seen.messages ?? {}, contexts: seen.contexts ?? [] });
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
    this.readReturns(returns ?? []);
    this.readVerdict();
    this.labels = new Map();
    for (const label of trace.labels ?? []) this.labels.set(label.step, [...(this.labels.get(label.step) ?? []), label]);
  }

  // Where steps ran inside a call, such as those of an agent used as a tool, its result follows them.
  readReturns(returns) {
    this.laterResults = new Map();
    this.returnsAfter = new Map();
    for (const [caller, position, after] of returns) {
      this.laterResults.set(`${caller}:${position}`, after);
      const call = this.steps[caller].tool_calls[position];
      this.returnsAfter.set(after, [{ caller, call }, ...(this.returnsAfter.get(after) ?? [])]);
    }
  }

  readVerdict() {
    const { verdict } = this;
    const known = (step) => step !== null && step !== undefined && step < this.steps.length;
    this.decisive = known(verdict?.step) ? verdict.step : null;
    this.ranks = new Map();
    this.quotes = new Map();
    if (this.decisive !== null) this.ranks.set(this.decisive, 1);
    (verdict?.candidates ?? []).forEach((candidate, rank) => {
      if (known(candidate.step) && !this.ranks.has(candidate.step)) this.ranks.set(candidate.step, rank + 1);
      for (const { step, quote } of candidate.evidence ?? []) {
        if (quote) this.quotes.set(step, [...(this.quotes.get(step) ?? []), quote]);
      }
    });
  }

  href(step) {
    return `#${this.prefix}step-${step}`;
  }

  hrefReplay(number) {
    return `#${this.prefix}replay-${number}`;
  }

  // The replay that an address names, as `stepOf`.
  replayOf(hash) {
    const found = /^#(run-\d+-)?replay-(\d+)$/.exec(hash);
    return found && (found[1] ?? '') === this.prefix && this.replays[found[2]] ? Number(found[2]) : null;
  }

  // The step that an address names, if it is one of this run.
  stepOf(hash) {
    const found = /^#(run-\d+-)?step-(\d+)$/.exec(hash);
    return found && (found[1] ?? '') === this.prefix ? Number(found[2]) : null;
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
