// What the page asks the admin address: questions, and events as they come.

import { $ } from './dom.js';

const TOKEN = 'logbraid-token';
let asking = null;

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { ...more, authorization: `Bearer ${token}` } : more;
}

/** Asks the person for the token; several requests wait for one answer. */
function askToken() {
  asking ??= new Promise((resolve) => {
    const dialog = $('token');
    dialog.addEventListener('close', () => {
      sessionStorage.setItem(TOKEN, $('token-value').value.trim());
      $('token-value').value = '';
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

async function send(path, init) {
  for (;;) {
    const response = await fetch(path, { ...init, headers: headers(init.headers), cache: 'no-store' });
    if (response.status !== 401) return response;
    await askToken();
  }
}

async function answer(response) {
  const text = await response.text();
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error(text.trim() || `the server answers ${response.status}`);
  }
  if (!response.ok) {
    const error = new Error(document.message ?? `the server answers ${response.status}`);
    error.help = document.help;
    error.code = document.code;
    throw error;
  }
  return document;
}

/** A question with its options as JSON. */
export async function ask(name, request, signal) {
  const init = { method: 'POST', body: JSON.stringify(request), headers: { 'content-type': 'application/json' }, signal };
  return answer(await send(`query/${name}`, init));
}

/** A question with its options as they stand on the command line: read by the same definition. */
export async function askWords(name, parameters, signal) {
  return answer(await send(`query/${name}?${new URLSearchParams(parameters)}`, { signal }));
}

/** What can be asked. */
export const questions = async () => answer(await send('query', {}));

/** Reads events for ever; begins anew when the connection is lost. `EventSource` cannot send a token. */
export async function listen(on) {
  for (let wait = 500; ; wait = Math.min(wait * 2, 10000)) {
    try {
      const response = await send('events', {});
      if (!response.ok) throw new Error((await response.text()).trim());
      on.open();
      wait = 500;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        rest += value;
        const blocks = rest.split('\n\n');
        rest = blocks.pop();
        blocks.forEach((block) => deliver(block, on));
      }
      on.close('the connection ended');
    } catch (error) {
      on.close(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function deliver(block, on) {
  let name = 'message';
  const data = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
  }
  if (data.length && on[name]) on[name](JSON.parse(data.join('\n')));
}
