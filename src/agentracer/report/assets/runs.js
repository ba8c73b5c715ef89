// Opens the list of many runs, or the one that the address names. Loaded last.
//
// A page shows one or the other for as long as it lives: going from one to the other loads it
// anew, so that no run can leave anything behind for the next one.
'use strict';

function runOf(hash) {
  const found = /^#run-(\d+)(?:-|$)/.exec(hash);
  return found && at(`data-${found[1]}`) ? Number(found[1]) : null;
}

const opened = runOf(location.hash);
window.addEventListener('hashchange', () => {
  if (runOf(location.hash) === opened) return;
  document.documentElement.dataset.ready = 'false';
  location.reload();
});
if (opened === null) {
  at('index').hidden = false;
  window.agentracerIndex = new RunIndex(parseExactly(at('index-data').textContent));
} else {
  history.scrollRestoration = 'manual';
  at('run').hidden = false;
  window.agentracerReport = new Report(parseExactly(at(`data-${opened}`).textContent), `run-${opened}-`);
}
document.documentElement.dataset.ready = 'true';
