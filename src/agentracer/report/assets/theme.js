// Light or dark: as the system says, until the reader says otherwise.
'use strict';

class Theme {
  // control: the button that changes it. changed(): colours are others now.
  constructor(control, changed) {
    this.changed = changed;
    document.documentElement.dataset.theme = this.remembered() ?? '';
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
    control.addEventListener('click', () => this.toggle());
  }

  remembered() {
    try {
      return localStorage.getItem('agentracer-theme');
    } catch {
      return null; // storage may be off for files
    }
  }

  toggle() {
    const root = document.documentElement;
    const system = window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    root.dataset.theme = (root.dataset.theme || system) === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem('agentracer-theme', root.dataset.theme);
    } catch {
      // then it lasts as long as the page
    }
    this.changed();
  }
}
