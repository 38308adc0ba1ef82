// What all pages have in common: how they look, who looks at them, and that they follow what happens.
import { createHash } from 'node:crypto';
import { Html, html } from './html.ts';

/** Whose browser it is. */
export interface Viewer {
  /** Null where nobody is known yet. */
  readonly login: string | null;
  /** Who else they may be. */
  readonly others: readonly string[];
}

const style = `
:root { color-scheme: light dark; --page: #fff; --text: #1f2328; --soft: #59636e; --line: #d1d9e0; --panel: #f6f8fa;
  --link: #0969da; --good: #1a7f37; --bad: #d1242f; --busy: #9a6700; --merged: #8250df; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --soft: #9198a1; --line: #3d444d;
  --panel: #151b23; --link: #4493f8; --good: #3fb950; --bad: #f85149; --busy: #d29922; --merged: #ab7df8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 0 1rem 3rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
header, .row { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; justify-content: space-between; }
header { padding: .75rem 0; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.25rem 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; } .soft, h1 small { color: var(--soft); font-weight: normal; }
.state { border-radius: 1rem; padding: .1rem .7rem; color: #fff; font-size: .875rem; background: #59636e; }
.state.open { background: #1a7f37; } .state.closed { background: #cf222e; } .state.merged { background: #8250df; }
.list { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: 0; list-style: none; }
.list > * { border-top: 1px solid var(--line); padding: .5rem .75rem; } .list > :first-child { border-top: 0; }
summary { cursor: pointer; } summary b { font-weight: 600; }
.mark { display: inline-block; width: 1.25rem; text-align: center; }
.good { color: var(--good); } .bad { color: var(--bad); } .busy { color: var(--busy); } .merged { color: var(--merged); }
pre, .text { white-space: pre-wrap; background: var(--panel); border-radius: .375rem; padding: .5rem .75rem; margin: .5rem 0;
  font: .8125rem/1.45 ui-monospace, monospace; max-height: 30rem; overflow: auto; } .text { font: inherit; }
code { font: .875em ui-monospace, monospace; background: var(--panel); border-radius: .25rem; padding: .1em .3em; }
form { display: inline; } form.wide { display: grid; gap: .5rem; margin: .75rem 0; justify-items: start; }
textarea, select, input { width: 100%; padding: .4rem .5rem; font: inherit; color: inherit; background: var(--page);
  border: 1px solid var(--line); border-radius: .375rem; }
button { margin: .15rem 0; padding: .25rem .75rem; font: inherit; font-size: .875rem; color: inherit; background: var(--panel); cursor: pointer;
  border: 1px solid var(--line); border-radius: .375rem; } button.main { color: #fff; background: #1a7f37; }
header button { border: 0; background: none; padding: 0; color: var(--link); text-decoration: underline; }
`;

/** Puts what is new into the page; what is typed, and what was opened, stays. */
const script = `
const shown = new Map([...document.querySelectorAll('[data-live]')].map((one) => [one.id, one.innerHTML]));
const follow = async () => {
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const now of document.querySelectorAll('[data-live]')) {
      const next = page.getElementById(now.id);
      if (next === null || shown.get(now.id) === next.innerHTML) continue;
      const open = new Set([...now.querySelectorAll('details[open]')].map(({ id }) => id));
      shown.set(now.id, next.innerHTML);
      now.innerHTML = next.innerHTML;
      for (const one of now.querySelectorAll('details')) one.open = open.has(one.id);
    }
  } catch {
    // The fake is gone for now: the page stays as it was.
  }
  setTimeout(follow, 1000);
};
setTimeout(follow, 1000);
`;

const hash = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** For the header `content-security-policy`: whatever got into a page, nothing of it runs. */
export const contentPolicy = [
  `default-src 'none'`,
  `style-src ${hash(style)}`,
  `script-src ${hash(script)}`,
  `connect-src 'self'`,
  'img-src data:',
  `form-action 'self'`,
  `base-uri 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

const whoText = ({ login, others }: Viewer, path: string): Html =>
  html`<span class="soft">You are <b>${login ?? 'nobody'}</b>${others.map(
    (other) =>
      html` · <form method="post" action="/_form/be"><input type="hidden" name="back" value="${path}"
        ><button name="login" value="${other}">be ${other}</button></form>`,
  )}</span>`;

export interface PageParts {
  readonly title: string;
  /** Where it is. */
  readonly path: string;
  readonly viewer: Viewer;
  /** `[name, path]` of what it lies below, outermost first. */
  readonly trail: readonly (readonly [string, string])[];
  readonly body: Html;
}

export const layOut = ({ title, path, viewer, trail, body }: PageParts): string => {
  const places = [['A GitHub that is none', '/'] as const, ...trail].map(
    ([name, place], at) => html`${at === 0 ? '' : ' / '}<a href="${place}">${name}</a>`,
  );
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>${title}</title><style>${new Html(style)}</style></head>
<body><header><nav aria-label="Place">${places}</nav>${whoText(viewer, path)}</header>
<main>${body}</main>
<script>${new Html(script)}</script></body></html>
`;
  return page.text;
};

/** Part of a page that follows what happens. */
export const live = (id: string, body: Html): Html =>
  html`<div id="${id}" data-live aria-live="polite">${body}</div>`;

/** One button that does one thing and comes back. Numbers and names of things are its fields. */
export const actionForm = (
  { command, path, fields }: { readonly command: string; readonly path: string; readonly fields: object },
  button: Html,
): Html => {
  const hidden = Object.entries({ ...fields, back: path }).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${String(value)}">`,
  );
  return html`<form method="post" action="/_form/${command}">${hidden}${button}</form>`;
};
