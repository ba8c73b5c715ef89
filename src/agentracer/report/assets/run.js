// Opens the page of one run. Loaded last.
'use strict';

window.agentracerReport = new Report(parseExactly(at('data').textContent));
document.documentElement.dataset.ready = 'true';
