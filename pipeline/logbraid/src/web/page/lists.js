// A list of any length: only the rows that can be seen are elements.

import { el } from './dom.js';

const SPARE = 6;

export class Rows {
  /** `draw(item, index)` makes a row's children; `open(item)` is called for Enter and clicks. */
  constructor(box, { height, draw, open }) {
    Object.assign(this, { box, height, draw, open, count: 0, at: -1, shown: new Map() });
    this.get = () => undefined;
    this.space = el('div', 'space', [], { role: 'presentation' });
    box.append(this.space);
    this.empty = el('div', 'empty');
    box.append(this.empty);
    box.addEventListener('scroll', () => this.later(), { passive: true });
    new ResizeObserver(() => this.later()).observe(box);
    box.addEventListener('keydown', (event) => this.key(event));
    box.addEventListener('click', (event) => {
      const row = event.target.closest('.row');
      if (row) this.choose(Number(row.dataset.index), true);
    });
  }

  /** Shows `count` items; `get(index)` gives one, or nothing while it is on its way. */
  set(count, get, why = '') {
    this.count = count;
    this.get = get;
    if (this.at >= count) this.at = count - 1;
    this.space.style.height = `${count * this.height}px`;
    this.empty.replaceChildren(...(count ? [] : [why].flat()));
    this.empty.hidden = count > 0;
    this.redraw();
  }

  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.paint();
    });
  }

  /** Draws every visible row anew. */
  redraw() {
    for (const row of this.shown.values()) row.remove();
    this.shown.clear();
    this.later();
  }

  paint() {
    const from = Math.max(0, Math.floor(this.box.scrollTop / this.height) - SPARE);
    const to = Math.min(this.count, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.height) + SPARE);
    for (const [index, row] of this.shown) {
      if (index < from || index >= to) {
        row.remove();
        this.shown.delete(index);
      }
    }
    for (let index = from; index < to; index += 1) {
      if (this.shown.has(index)) continue;
      const row = el('div', 'row', [], { role: 'option', 'data-index': index, id: `${this.box.id}-${index}` });
      const item = this.get(index);
      if (item === undefined) row.classList.add('waiting');
      else row.append(...this.draw(item, index, row));
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute('aria-selected', index === this.at);
      row.setAttribute('aria-setsize', this.count);
      row.setAttribute('aria-posinset', index + 1);
      this.shown.set(index, row);
      this.space.append(row);
    }
  }

  choose(index, open) {
    if (!this.count) return;
    this.at = Math.max(0, Math.min(index, this.count - 1));
    const top = this.at * this.height;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + this.height - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    for (const [place, row] of this.shown) row.setAttribute('aria-selected', place === this.at);
    this.box.setAttribute('aria-activedescendant', `${this.box.id}-${this.at}`);
    this.paint();
    const item = this.get(this.at);
    if (open && item !== undefined) this.open(item);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      const step = steps[event.key];
      const to = step === Infinity ? this.count - 1 : step === -Infinity ? 0 : this.at + step;
      this.choose(this.at < 0 && step === -1 ? 0 : to, false);
    } else if (event.key === 'Enter' || event.key === ' ') {
      this.choose(this.at, true);
    } else {
      return;
    }
    event.preventDefault();
  }
}
