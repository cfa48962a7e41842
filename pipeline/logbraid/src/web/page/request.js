// One request: as a waterfall, a flamegraph, its entries, and the way of its errors.

import { clock, count, duration, el, firstLine, millis, serviceColour, share } from './dom.js';
import { ask } from './server.js';
import { Rows } from './lists.js';

/** Asks for what a view shows. Each is asked once for a request. */
const NEEDS = { waterfall: 'hierarchy', flame: 'hierarchy', log: 'timeline', path: 'error-flow' };
const NODES_MAX = 2000;

export class RequestView {
  constructor(box) {
    this.box = box;
    this.answers = new Map();
    this.id = undefined;
    this.view = 'waterfall';
  }

  show(id, view = this.view) {
    if (id !== this.id) this.answers.clear();
    this.id = id;
    this.view = view;
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const question = NEEDS[view];
    const request = question === 'timeline' ? { id, limit: 0 } : { id };
    if (!this.answers.has(question)) this.answers.set(question, ask(question, request));
    const waiting = setTimeout(() => this.box.replaceChildren(el('p', 'empty', 'Asking…')), 150);
    this.answers.get(question).then(
      (answer) => {
        clearTimeout(waiting);
        if (signal.aborted) return;
        this.box.replaceChildren();
        this.box.scrollTop = 0;
        VIEWS[view](this.box, answer);
      },
      (error) => {
        clearTimeout(waiting);
        if (signal.aborted) return;
        this.answers.delete(question);
        this.box.replaceChildren(el('p', 'empty', [error.message, error.help ? el('span', 'help', error.help) : null]));
      },
    );
  }
}

/** Every node with its depth, parents before children; at most `NODES_MAX`. */
function flat(roots) {
  const nodes = [];
  const waiting = roots.map((node) => [node, 0]).reverse();
  while (waiting.length && nodes.length < NODES_MAX) {
    const [node, depth] = waiting.pop();
    nodes.push({ node, depth });
    for (const child of [...(node.children ?? [])].reverse()) waiting.push([child, depth + 1]);
  }
  return nodes;
}

function scaleOf(nodes) {
  const times = nodes.flatMap(({ node }) => [millis(node.start_time), millis(node.end_time)]).filter(Number.isFinite);
  const from = Math.min(...times);
  return { from, span: Math.max(Math.max(...times) - from, 0.001) };
}

function place(bar, node, scale) {
  const start = millis(node.start_time) - scale.from;
  const width = Math.max(millis(node.end_time) - millis(node.start_time), 0);
  bar.style.left = `${(start / scale.span) * 100}%`;
  bar.style.width = `max(2px, ${(width / scale.span) * 100}%)`;
}

function axis(scale) {
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const tick = el('span', '', duration(scale.span * part));
    tick.style.left = `${part * 100}%`;
    return tick;
  });
  return el('div', 'axis', ticks);
}

const about = (node) =>
  `${node.name ?? node.id} · ${node.service ?? 'no service'} · ${duration(node.duration_ms)}, self ${duration(node.self_ms)}` +
  ` · ${count(node.entry_count)} entries, ${count(node.error_count)} errors · confidence ${node.confidence}`;

function waterfall(box, answer) {
  const nodes = flat(answer.roots ?? []);
  if (!nodes.length) return box.append(el('p', 'empty', 'Nothing of this request is in the window any more.'));
  const scale = scaleOf(nodes);
  const rows = nodes.map(({ node, depth }) => {
    const name = el('div', 'name', [
      el('span', `dot ${serviceColour(node.service)}`),
      el('b', '', node.service ?? node.node_type),
      el('span', 'dim', firstLine(node.name ?? node.id)),
    ]);
    name.style.paddingLeft = `${Math.min(depth, 12) * 14}px`;
    const bar = el('div', `bar-of ${serviceColour(node.service)}${node.critical ? ' critical' : ''}${node.error_count ? ' failed' : ''}`);
    place(bar, node, scale);
    const time = el('div', 'time', duration(node.duration_ms));
    return el('div', 'span-row', [name, el('div', 'track', bar), time], { title: about(node) });
  });
  box.append(el('div', 'waterfall', [el('div', 'span-row head', [el('div', 'name'), el('div', 'track', axis(scale)), el('div')]), ...rows]));
  const weak = answer.bottleneck;
  if (weak) {
    const self = weak.self_ms ?? weak.self_time_ms;
    box.append(el('p', 'note', [
      'Most time of its own: ',
      el('b', '', weak.service ?? weak.name ?? weak.node_id),
      self === undefined ? '' : ` with ${duration(self)}`,
      answer.total_duration_ms && self !== undefined ? ` of ${duration(answer.total_duration_ms)} (${share(self / answer.total_duration_ms)})` : '',
    ]));
  }
  if (nodes.length >= NODES_MAX) box.append(el('p', 'note', `The first ${count(NODES_MAX)} spans are shown.`));
}

function flame(box, answer) {
  const nodes = flat(answer.roots ?? []);
  if (!nodes.length) return box.append(el('p', 'empty', 'Nothing of this request is in the window any more.'));
  const scale = scaleOf(nodes);
  const deepest = Math.max(...nodes.map(({ depth }) => depth));
  // Spans of one depth that overlap stand below each other, so that none hides another.
  const lanes = [];
  const chart = el('div', 'flame');
  for (const { node, depth } of nodes) {
    const start = millis(node.start_time);
    const lane = (lanes[depth] ??= []);
    let row = lane.findIndex((end) => end <= start);
    if (row < 0) row = lane.push(0) - 1;
    lane[row] = Math.max(millis(node.end_time), start + 0.01);
    const block = el('div', `block ${serviceColour(node.service)}${node.error_count ? ' failed' : ''}`, [
      el('b', '', node.service ?? ''), ' ', firstLine(node.name ?? node.id), el('span', 'dim', ` ${duration(node.duration_ms)}`),
    ], { title: about(node) });
    place(block, node, scale);
    block.dataset.depth = depth;
    block.dataset.row = row;
    chart.append(block);
  }
  const above = [0];
  for (let depth = 0; depth <= deepest; depth += 1) above.push(above[depth] + (lanes[depth]?.length ?? 1));
  for (const block of chart.children) block.style.top = `${(above[block.dataset.depth] + Number(block.dataset.row)) * 26}px`;
  chart.style.height = `${above.at(-1) * 26}px`;
  box.append(el('div', 'axis-line', axis(scale)), chart);
}

function log(box, answer) {
  const items = answer.timeline ?? [];
  const list = el('div', 'rows log', [], { role: 'listbox', tabindex: '0', 'aria-label': 'Entries of the request', id: 'log' });
  const whole = el('pre', 'whole', '');
  box.append(list, whole);
  const rows = new Rows(list, {
    height: 26,
    draw: (item) => [
      el('span', 'at', `+${duration(item.relative_time_ms)}`),
      el('span', `level ${(item.entry.level ?? '').toLowerCase()}`, item.entry.level ?? ''),
      el('span', `service`, [el('i', `dot ${serviceColour(item.service)}`), item.service ?? '']),
      el('span', 'message', firstLine(item.entry.message)),
    ],
    open: ({ entry }) => {
      const { message, ...rest } = entry;
      whole.replaceChildren(el('b', '', message), '\n', JSON.stringify(rest, null, 2));
    },
  });
  rows.set(items.length, (index) => items[index], 'No entries of this request are in the window any more.');
  if (items.length) rows.choose(0, true);
}

function path(box, answer) {
  const chains = answer.propagation_chains ?? [];
  if (!answer.has_errors) return box.append(el('p', 'empty', 'Nothing failed in this request.'));
  for (const chain of chains) {
    const steps = (chain.steps ?? []).map((step, index) =>
      el('li', index === 0 ? 'cause' : '', [
        el('div', 'step-head', [
          el('span', `dot ${serviceColour(step.service)}`),
          el('b', '', step.service ?? step.node),
          el('span', 'dim', clock(step.timestamp)),
          index === 0 ? el('span', 'badge critical', 'root cause') : null,
        ]),
        el('div', 'message', step.message),
      ]));
    box.append(el('ol', 'path', steps));
  }
  if (!chains.length) {
    for (const cause of answer.root_causes ?? []) {
      box.append(el('ol', 'path', [el('li', 'cause', [
        el('div', 'step-head', [el('b', '', cause.service ?? cause.node), el('span', 'dim', clock(cause.timestamp)), el('span', 'badge critical', 'root cause')]),
        el('div', 'message', cause.message),
      ])]));
    }
  }
  const advice = answer.recommendations ?? [];
  if (advice.length) box.append(el('ul', 'advice', advice.map((text) => el('li', '', text))));
}

const VIEWS = { waterfall, flame, log, path };
