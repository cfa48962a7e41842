// The page: what comes goes into lists; what is chosen is asked about.

import { $, clock, count, duration, el, firstLine, millis, serviceColour, share, visible } from './dom.js';
import { ask, askWords, listen, questions } from './server.js';
import { Rows } from './lists.js';
import { RequestView } from './request.js';

const REQUESTS_MAX = 20000;
const PAGE = 500;
const PAGES_MAX = 40;
const RANKS = ['info', 'low', 'medium', 'high', 'critical'];

const state = {
  findings: new Map(),
  requests: new Map(),
  open: new Map(),
  list: [],
  shown: 'all',
  slow: false,
  finding: -1,
  request: undefined,
  figures: undefined,
  rates: [],
  window: true,
  dirty: true,
};

// ---------------------------------------------------------------- findings

function newest(a, b) {
  return RANKS.indexOf(b.severity) - RANKS.indexOf(a.severity) || b.at.localeCompare(a.at);
}

function drawFindings() {
  const all = [...state.findings.values()].sort(newest);
  state.shownFindings = all;
  $('findings-count').textContent = count(all.length);
  const cards = all.slice(0, 200).map((finding, index) => {
    const times = finding.occurrences > 1 ? `${count(finding.occurrences)} times` : '';
    return el('article', `card ${finding.severity}`, [
      el('div', 'card-head', [
        el('span', `badge ${finding.severity}`, finding.severity),
        el('span', 'kind', finding.kind.replaceAll('_', ' ')),
        el('time', '', clock(finding.at), { datetime: finding.at }),
      ]),
      el('p', '', firstLine(finding.title)),
      el('div', 'card-foot', [
        finding.service ? el('span', '', [el('i', `dot ${serviceColour(finding.service)}`), finding.service]) : null,
        finding.key ? el('code', '', finding.key.value) : null,
        times ? el('span', 'times', times) : null,
      ]),
    ], { role: 'option', 'data-index': index, 'aria-selected': index === state.finding, id: `finding-${index}` });
  });
  if (!cards.length) cards.push(el('p', 'empty', 'Nothing worth a look so far.'));
  if (all.length > 200) cards.push(el('p', 'empty', `${count(all.length - 200)} more of lower severity`));
  const top = $('findings').scrollTop;
  $('findings').replaceChildren(...cards);
  $('findings').scrollTop = top;
}

function chooseFinding(index, open) {
  const all = state.shownFindings ?? [];
  if (!all.length) return;
  state.finding = Math.max(0, Math.min(index, Math.min(all.length, 200) - 1));
  for (const card of $('findings').querySelectorAll('.card')) {
    const chosen = Number(card.dataset.index) === state.finding;
    card.setAttribute('aria-selected', chosen);
    if (chosen) card.scrollIntoView({ block: 'nearest' });
  }
  $('findings').setAttribute('aria-activedescendant', `finding-${state.finding}`);
  const finding = all[state.finding];
  if (open && finding.key) openRequest(finding.key.value, finding.kind === 'error_flow' ? 'path' : 'waterfall');
  else if (open) searchFor(finding.service ? `--service ${quoted(finding.service)} --level warn+` : '--level warn+');
}

// ---------------------------------------------------------------- requests

const requests = new Rows($('requests'), {
  height: 34,
  draw: (request, index, row) => {
    row.classList.toggle('current', request.key.value === state.request);
    const bar = el('div', `bar-of ${request.outcome}`);
    bar.style.width = `${Math.max(1.5, Math.sqrt(request.duration_ms / (state.longest || 1)) * 100)}%`;
    const errors = (request.levels?.ERROR ?? 0) + (request.levels?.FATAL ?? 0);
    return [
      el('span', `outcome ${request.outcome}`, request.outcome, { title: request.closed_by ? `closed: ${request.closed_by}` : 'still open' }),
      el('span', 'at', clock(request.start)),
      el('code', 'key', request.key.value, { title: `${request.key.kind} ${visible(request.key.value)}` }),
      el('span', 'length', [bar, el('span', '', duration(request.duration_ms))]),
      el('span', 'chain', (request.services ?? []).slice(0, 8).map((service) => el('span', 'svc', [el('i', `dot ${serviceColour(service)}`), service]))),
      el('span', 'number', `${count(request.entries)}${errors ? ' · ' : ''}`, {}),
      errors ? el('span', 'errors', `${count(errors)} err`) : el('span', 'errors'),
    ];
  },
  open: (request) => openRequest(request.key.value),
});

function drawRequests() {
  let list = [...state.requests.values()];
  $('requests-count').textContent = count(list.length + state.open.size);
  list.push(...state.open.values());
  if (state.shown !== 'all') list = list.filter((request) => request.outcome === state.shown);
  list.sort(state.slow ? (a, b) => b.duration_ms - a.duration_ms : (a, b) => b.start.localeCompare(a.start));
  state.list = list;
  state.longest = list.reduce((most, request) => Math.max(most, request.duration_ms), 0);
  const why = state.shown === 'all' ? 'No request has come yet.' : 'None among the requests that are known.';
  requests.set(list.length, (index) => list[index], why);
}

/** Requests that have not closed: those of the window's last minute that are not among the closed ones. */
async function lookForOpen() {
  const watermark = state.figures?.figures?.watermark_ms;
  if (!state.window || !watermark || document.hidden) return;
  const after = new Date(watermark - 60000).toISOString();
  const query = `SELECT coalesce(correlation_id, trace_id) AS id, min(timestamp) AS start, max(timestamp) AS last, count(*) AS entries,
    sum(level >= 'ERROR') AS errors, group_concat(DISTINCT service) AS services FROM logs
    WHERE coalesce(correlation_id, trace_id) IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 500`;
  try {
    const answer = await ask('sql', { query, after });
    const closed = new Set([...state.requests.values()].map((request) => request.key.value));
    const rows = answer.results ?? [];
    state.open = new Map(rows.filter((row) => !closed.has(row.id)).map((row) => [row.id, {
      key: { kind: 'id', value: String(row.id) },
      start: row.start,
      duration_ms: millis(row.last) - millis(row.start),
      outcome: 'open',
      services: String(row.services ?? '').split(',').filter(Boolean),
      entries: row.entries,
      levels: { ERROR: row.errors ?? 0 },
    }]));
    state.dirty = true;
  } catch (error) {
    if (error.code === 'no_window') state.window = false;
  }
}

// ---------------------------------------------------------------- entries

const entries = new Rows($('entries'), {
  height: 28,
  draw: (entry) => [
    el('span', 'at', clock(entry.timestamp)),
    el('span', `level ${(entry.level ?? '').toLowerCase()}`, entry.level ?? ''),
    el('span', 'service', [el('i', `dot ${serviceColour(entry.service)}`), entry.service ?? '']),
    el('span', 'message', firstLine(entry.message)),
    el('code', 'key', entry.correlation_id ?? entry.trace_id ?? ''),
  ],
  open: (entry) => {
    const id = entry.correlation_id ?? entry.trace_id ?? entry.thread_id;
    if (id) openRequest(id, 'log');
  },
});

const search = { flags: new Set(), known: new Set() };
const SHORT = { i: 'ignore-case', q: 'query', s: 'service', l: 'level' };
const quoted = (word) => (/[\s"']/.test(word) ? `"${word.replaceAll('"', '\\"')}"` : word);

/** Words of a command line: quotes hold words together. */
function words(text) {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map((found) => ({
    text: found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? found[3],
    plain: found[3] !== undefined,
  }));
}

/** A line like that of `logbraid search` as parameters; words without an option are the query. */
export function parameters(line) {
  const found = [];
  const query = [];
  const all = words(line);
  for (let at = 0; at < all.length; at += 1) {
    const { text, plain } = all[at];
    const option = plain && /^--?([a-zA-Z][\w-]*)(?:=(.*))?$/s.exec(text);
    if (!option) {
      query.push(text);
      continue;
    }
    const name = (text.startsWith('--') ? option[1] : SHORT[option[1]] ?? option[1]).replaceAll('-', '_');
    if (search.flags.has(name)) found.push([name, option[2] ?? 'true']);
    else {
      const value = option[2] ?? all[at + 1]?.text ?? '';
      if (option[2] === undefined) at += 1;
      found.push([name, value]);
    }
  }
  if (query.length) found.push(['query', query.join(' ')]);
  return found;
}

function searchFor(line) {
  $('query').value = line;
  runSearch();
}

async function runSearch() {
  search.abort?.abort();
  search.abort = new AbortController();
  const { signal } = search.abort;
  const given = parameters($('query').value);
  const named = new Set(given.map(([name]) => name));
  const pages = new Map();
  const more = [];
  if (!named.has('sort')) more.push(['sort', 'newest']);
  show('entries');
  const load = async (page) => {
    const place = [['limit', PAGE], ['offset', page * PAGE], ['no_aggregate', 'true'], ['fields', 'timestamp,level,service,message,correlation_id,trace_id,thread_id']];
    const own = place.filter(([name]) => !named.has(name));
    return askWords('search', [...given, ...more, ...own], signal);
  };
  // Two pages are under way at most, those that were wanted last; what is still missing is wanted again when drawn.
  let wanted = new Set();
  let flying = 0;
  const fetchPage = async () => {
    if (flying >= 2 || !wanted.size || signal.aborted) return;
    const page = [...wanted].pop();
    wanted = new Set();
    flying += 1;
    try {
      const answer = await load(page);
      if (pages.size >= PAGES_MAX) pages.delete(pages.keys().next().value);
      pages.set(page, answer.results ?? []);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    flying -= 1;
    if (!signal.aborted) entries.redraw();
  };
  const get = (index) => {
    const page = Math.floor(index / PAGE);
    const known = pages.get(page);
    if (known) return known[index % PAGE];
    wanted.add(page);
    fetchPage();
    return undefined;
  };
  try {
    const first = await load(0);
    pages.set(0, first.results ?? []);
    // Entries that come while somebody scrolls would move the others: the range ends where it ended at first.
    const end = first.summary?.time_range?.end;
    if (!named.has('before') && end) more.push(['before', new Date(Math.floor(millis(end)) + 1).toISOString()]);
    const total = named.has('limit') || named.has('tail') ? pages.get(0).length : first.summary?.total_matches ?? pages.get(0).length;
    $('entries-count').textContent = count(total);
    $('entries').scrollTop = 0;
    entries.at = -1;
    entries.set(total, get, 'Nothing matches.');
  } catch (error) {
    if (signal.aborted) return;
    $('entries-count').textContent = '';
    entries.set(0, () => undefined, [error.message, el('span', 'help', error.help ?? '')]);
  }
}

async function learnOptions() {
  const list = await questions();
  const schema = list.questions.find((question) => question.name === 'search')?.request?.properties ?? {};
  const options = { ...list.options_of_all?.properties, ...schema };
  for (const [name, about] of Object.entries(options)) {
    if (about.type === 'boolean') search.flags.add(name);
    $('options').append(el('option', '', [], { value: `--${name.replaceAll('_', '-')} `, label: about.description ?? '' }));
  }
}

// ---------------------------------------------------------------- one request

const view = new RequestView($('view'));

function openRequest(id, which) {
  state.request = id;
  $('detail').hidden = false;
  document.body.classList.add('with-detail');
  $('detail-title').textContent = visible(id);
  const known = [...state.requests.values(), ...state.open.values()].find((request) => request.key.value === id);
  const facts = known ? [
    el('span', `outcome ${known.outcome}`, known.outcome),
    el('b', '', duration(known.duration_ms)),
    el('span', '', `${count(known.entries)} entries`),
    el('span', '', `${(known.services ?? []).length} services`),
    el('span', 'dim', `${known.start.slice(0, 10)} ${clock(known.start)}`),
  ] : [];
  $('detail-facts').replaceChildren(...facts);
  history.replaceState(null, '', `#${encodeURIComponent(id)}`);
  showView(which ?? view.view);
  const place = state.list.findIndex((request) => request.key.value === id);
  requests.redraw();
  if (place >= 0) requests.choose(place, false);
}

function showView(which) {
  for (const tab of document.querySelectorAll('.views [role=tab]')) {
    tab.setAttribute('aria-selected', tab.dataset.view === which);
  }
  if (state.request !== undefined) view.show(state.request, which);
}

function closeRequest() {
  state.request = undefined;
  $('detail').hidden = true;
  document.body.classList.remove('with-detail');
  history.replaceState(null, '', location.pathname + location.search);
  requests.redraw();
}

// ---------------------------------------------------------------- health

function drawFigures(said) {
  const before = state.figures;
  state.figures = said;
  const { figures } = said;
  if (before) {
    const seconds = (said.uptime_ms - before.uptime_ms) / 1000;
    const came = figures.in_events_total - before.figures.in_events_total;
    if (seconds > 0 && came >= 0) state.rates.push(came / seconds);
    if (state.rates.length > 60) state.rates.shift();
  }
  const items = [
    ['entries / s', count(state.rates.at(-1) ?? 0), spark(state.rates)],
    ['read', count(figures.in_events_total)],
    ['open', count(figures.correlate_open_groups ?? 0)],
    ['lag', duration(Math.max(0, figures.watermark_lag_ms ?? 0))],
    ['rejected', count(figures.rejected_total ?? 0)],
  ];
  if (figures.index_entries !== undefined) {
    items.push([`window, ${(figures.index_bytes / 1048576).toFixed(1)} MiB`, count(figures.index_entries)]);
  }
  $('figures').replaceChildren(...items.map(([name, value, picture]) =>
    el('div', name === 'rejected' && figures.rejected_total > 0 ? 'warn' : '', [picture ?? null, el('dd', '', value || '0'), el('dt', '', name)])));
  const troubles = Object.entries(said.troubles ?? {});
  notice(troubles.map(([place, what]) => `${place}: ${what}`).join(' · '));
}

function spark(values) {
  const most = Math.max(1, ...values);
  const points = values.map((value, index) => `${(index + 60 - values.length).toFixed(0)},${(19 - (value / most) * 18).toFixed(1)}`);
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 60 20');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(space, 'polyline');
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
}

function notice(text) {
  $('notice').textContent = visible(text);
  $('notice').hidden = !text;
}

async function lookAtServices() {
  if (document.hidden || !state.window) return;
  try {
    const [stats, triage] = await Promise.all([ask('stats', { top: 30 }), ask('triage', {})]);
    const errors = new Map((triage.services ?? []).map((service) => [service.service, service.errors]));
    const all = Object.entries(stats.by_service?.values ?? {});
    const most = Math.max(1, ...all.map(([, entries]) => entries));
    const rows = all.map(([service, entries]) => {
      const failed = errors.get(service) ?? 0;
      const bar = el('i', 'amount');
      bar.style.width = `${(entries / most) * 100}%`;
      const bad = el('i', 'amount bad');
      bad.style.width = `${(failed / most) * 100}%`;
      return el('button', 'service-row', [
        el('span', 'name', [el('i', `dot ${serviceColour(service)}`), service]),
        el('span', 'number', count(entries)),
        el('span', failed ? 'number bad' : 'number dim', failed ? share(failed / entries) : '0 %'),
        el('span', 'amounts', [bar, bad]),
      ], { title: `${count(failed)} errors among ${count(entries)} entries; shows them`, 'data-service': service });
    });
    if (!rows.length) rows.push(el('p', 'empty', 'No entry is in the window.'));
    $('services').replaceChildren(...rows);
  } catch (error) {
    if (error.code === 'no_window') {
      state.window = false;
      const help = 'add `- index: {}` to the operators of its configuration';
      $('services').replaceChildren(el('p', 'empty', ['This logbraid keeps no window that could be asked.', el('span', 'help', help)]));
    }
  }
}

// ---------------------------------------------------------------- the page itself

function show(which) {
  for (const name of ['requests', 'entries']) {
    $(name).hidden = name !== which;
    $(`tab-${name}`).setAttribute('aria-selected', name === which);
  }
  $('filters').hidden = which !== 'requests';
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem('logbraid-theme', theme);
}

function turnTheme() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
  setTheme(now === 'dark' ? 'light' : 'dark');
}

const KEYS = {
  '/': () => $('query').focus(),
  f: () => { $('findings').focus(); if (state.finding < 0) chooseFinding(0, false); },
  r: () => { show('requests'); $('requests').focus(); },
  e: () => { if (!entries.count) runSearch(); show('entries'); $('entries').focus(); },
  t: turnTheme,
  '?': () => $('help').showModal(),
  Escape: closeRequest,
  1: () => showView('waterfall'),
  2: () => showView('flame'),
  3: () => showView('log'),
  4: () => showView('path'),
};

document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.target.matches('input')) {
    if (event.key === 'Escape') event.target.blur();
    return;
  }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  runSearch();
  $('entries').focus();
});
$('findings').addEventListener('click', (event) => {
  const card = event.target.closest('.card');
  if (card) chooseFinding(Number(card.dataset.index), true);
});
$('findings').addEventListener('keydown', (event) => {
  const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, Home: -Infinity, End: Infinity };
  if (event.key in steps) chooseFinding(state.finding + steps[event.key], false);
  else if (event.key === 'Enter' || event.key === ' ') chooseFinding(state.finding, true);
  else return;
  event.preventDefault();
});
$('services').addEventListener('click', (event) => {
  const row = event.target.closest('.service-row');
  if (row) searchFor(`--service ${quoted(row.dataset.service)} --level warn+`);
});
$('filters').addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.dataset.sort) {
    state.slow = !state.slow;
    button.setAttribute('aria-pressed', state.slow);
  } else {
    state.shown = button.dataset.show;
    for (const other of $('filters').querySelectorAll('[data-show]')) other.setAttribute('aria-pressed', other === button);
  }
  $('requests').scrollTop = 0;
  drawRequests();
});
$('tab-requests').addEventListener('click', KEYS.r);
$('tab-entries').addEventListener('click', KEYS.e);
$('detail-close').addEventListener('click', closeRequest);
$('theme').addEventListener('click', turnTheme);
$('help-open').addEventListener('click', KEYS['?']);
document.querySelector('.views').addEventListener('click', (event) => {
  const tab = event.target.closest('[role=tab]');
  if (tab) showView(tab.dataset.view);
});

function connection(kind, text) {
  $('state').className = `state ${kind}`;
  $('state').replaceChildren(el('i', 'light'), el('span', '', text));
}

const theme = localStorage.getItem('logbraid-theme');
if (theme) setTheme(theme);
connection('waiting', 'connecting');
listen({
  open() {
    connection('live', 'live');
    state.findings.clear();
    state.requests.clear();
    state.rates = [];
    state.figures = undefined;
    state.dirty = true;
  },
  close(why) {
    connection('lost', 'no connection');
    $('state').title = visible(why);
  },
  board(changes) {
    for (const finding of changes.findings) state.findings.set(finding.id, finding);
    for (const request of changes.requests) {
      state.requests.delete(request.id);
      state.requests.set(request.id, request);
      state.open.delete(request.key.value);
    }
    while (state.requests.size > REQUESTS_MAX) state.requests.delete(state.requests.keys().next().value);
    state.dirty = true;
  },
  figures: drawFigures,
});
setInterval(() => {
  if (!state.dirty || document.hidden) return;
  state.dirty = false;
  drawFindings();
  drawRequests();
}, 250);
setInterval(lookAtServices, 4000);
setInterval(lookForOpen, 2500);
setTimeout(lookAtServices, 300);
learnOptions().catch(() => {});
if (location.hash.length > 1) openRequest(decodeURIComponent(location.hash.slice(1)));
