// A list of rows of any height of which only those near the window exist.
// Knows nothing of what a row shows.
'use strict';

// Heights of rows with sums over any prefix in O(log n): a Fenwick tree.
class Heights {
  constructor(values) {
    this.values = Float64Array.from(values);
    this.tree = new Float64Array(this.values.length + 1);
    for (let i = 1; i < this.tree.length; i++) {
      this.tree[i] += this.values[i - 1];
      const parent = i + (i & -i);
      if (parent < this.tree.length) this.tree[parent] += this.tree[i];
    }
  }

  set(index, value) {
    const change = value - this.values[index];
    this.values[index] = value;
    for (let i = index + 1; i < this.tree.length; i += i & -i) this.tree[i] += change;
  }

  before(index) {
    let sum = 0;
    for (let i = index; i > 0; i -= i & -i) sum += this.tree[i];
    return sum;
  }

  // The row at distance `y` from the top.
  at(y) {
    let index = 0;
    let step = 1 << Math.max(0, 31 - Math.clz32(this.values.length));
    for (; step; step >>= 1) {
      const next = index + step;
      if (next < this.tree.length && this.tree[next] <= y) {
        index = next;
        y -= this.tree[next];
      }
    }
    return Math.max(0, Math.min(index, this.values.length - 1));
  }
}

class VirtualList {
  // box: the element to fill. build(position): a row. estimate(position): its likely height.
  // covered(): how much of the window's top something sticky covers. drawn(): after each drawing.
  constructor(box, { build, estimate, covered, drawn }) {
    Object.assign(this, { box, build, estimate, covered, drawn });
    this.length = 0;
    this.heights = new Heights([]);
    this.rows = new Map();
    this.waiting = false;
    this.observer = new ResizeObserver(() => this.later());
    const later = () => this.later();
    window.addEventListener('scroll', later, { passive: true });
    window.addEventListener('resize', later);
  }

  reset(length) {
    for (const row of this.rows.values()) this.drop(row);
    this.rows.clear();
    this.length = length;
    this.heights = new Heights(Array.from({ length }, (_, position) => this.estimate(position)));
    this.draw();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  // Build one row anew, keeping what the reader looks at in its place.
  refresh(position) {
    const row = this.rows.get(position);
    if (!row) return;
    const fresh = this.build(position);
    row.replaceWith(fresh);
    this.observer.unobserve(row);
    this.observer.observe(fresh);
    this.rows.set(position, fresh);
    this.draw(position);
  }

  // Draw what the window shows; the row `anchor` (else the first one in view) stays in its place.
  draw(anchor = null) {
    if (!this.box.getClientRects().length) return; // hidden: there is nothing to measure
    if (!this.length) {
      this.pad(0, 0);
      this.drawn();
      return;
    }
    for (let round = 0; round < 4; round++) {
      const top = -this.box.getBoundingClientRect().top;
      const held = anchor ?? this.heights.at(Math.max(0, top + this.covered()));
      const place = this.heights.before(held);
      this.fill(top - 600, top + window.innerHeight + 600);
      const changed = this.measure();
      this.pad(this.heights.before(this.first), this.heights.before(this.length) - this.heights.before(this.end));
      const moved = this.heights.before(held) - place;
      if (Math.abs(moved) >= 1 && top > 0) window.scrollBy(0, moved);
      if (!changed) break;
    }
    this.drawn();
  }

  // Scroll so that a row is near the top of the window, or only into view where `gently`.
  reveal(position, gently = false) {
    if (gently && this.isInView(position)) return;
    for (let round = 0; round < 6; round++) {
      const box = this.box.getBoundingClientRect().top;
      const off = box + this.heights.before(position) - this.covered() - 12;
      if (Math.abs(off) < 2) break;
      const from = window.scrollY;
      window.scrollBy(0, off);
      this.draw(position);
      if (window.scrollY === from) break; // at the end of the page
    }
  }

  isInView(position) {
    const row = this.rows.get(position);
    if (!row) return false;
    const { top, bottom } = row.getBoundingClientRect();
    const height = window.innerHeight - this.covered();
    return top >= this.covered() && (bottom <= window.innerHeight || (bottom - top > height && top < this.covered() + height / 3));
  }

  // First and last row that the reader sees now.
  visibleRange() {
    if (!this.length) return [0, -1];
    const top = -this.box.getBoundingClientRect().top;
    return [this.heights.at(Math.max(0, top + this.covered())), this.heights.at(Math.max(0, top + window.innerHeight))];
  }

  fill(from, to) {
    this.first = this.heights.at(Math.max(0, from));
    this.end = this.heights.at(Math.max(0, to)) + 1;
    for (const [position, row] of this.rows) {
      if (position >= this.first && position < this.end) continue;
      this.drop(row);
      this.rows.delete(position);
    }
    let next = null;
    for (let position = this.end - 1; position >= this.first; position--) {
      let row = this.rows.get(position);
      if (!row) {
        row = this.build(position);
        this.rows.set(position, row);
        this.box.insertBefore(row, next);
        this.observer.observe(row);
      }
      next = row;
    }
  }

  measure() {
    let changed = false;
    for (const [position, row] of this.rows) {
      const height = row.getBoundingClientRect().height;
      if (Math.abs(height - this.heights.values[position]) < 0.5) continue;
      this.heights.set(position, height);
      changed = true;
    }
    return changed;
  }

  pad(above, below) {
    this.box.style.paddingTop = `${above}px`;
    this.box.style.paddingBottom = `${below}px`;
  }

  drop(row) {
    this.observer.unobserve(row);
    row.remove();
  }
}
