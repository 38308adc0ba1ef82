// The page of who is signed in: their tokens, made and removed by forms. Nothing on it runs.
import type { StoredApiToken } from '../database/database.ts';
import { escapeHtml } from './html-text.ts';
import { docsStylePath } from './pages.ts';

export interface AccountView {
  /** Null: nobody is signed in. */
  readonly user: { readonly login: string; readonly host: string; readonly isAdmin: boolean } | null;
  readonly tokens: readonly StoredApiToken[];
  /** The one that was just made: shown this one time. */
  readonly made: string | null;
  readonly loginPath: string;
  /** Below it are the forms. */
  readonly path: string;
}

const day = (ms: number | null, without: string): string =>
  ms === null ? without : new Date(ms).toISOString().slice(0, 10);

const tokenHtml = (
  { id, name, createdAtMs, expiresAtMs, usedAtMs }: StoredApiToken,
  path: string,
): string => {
  const dates = `made ${day(createdAtMs, '')}, used ${day(usedAtMs, 'never')}, expires ${day(expiresAtMs, 'never')}`;
  return `<article><h3>${escapeHtml(name)}</h3><p class="type">${dates}</p>
<form method="post" action="${escapeHtml(path)}/remove-token"><input type="hidden" name="id" value="${escapeHtml(id)}">
<button>Remove</button></form></article>`;
};

const madeHtml = (made: string | null): string =>
  made === null
    ? ''
    : `<article role="status"><h3>Your new token</h3><pre>${escapeHtml(made)}</pre><p>Keep it now: it is not shown again.</p></article>`;

const signedInHtml = ({ user, tokens, made, path }: AccountView): string => `
<p>You are ${escapeHtml(user?.login ?? '')} of ${escapeHtml(user?.host ?? '')}${user?.isAdmin === true ? ', an admin of this server' : ''}.</p>
<form method="post" action="${escapeHtml(path)}/sign-out"><button>Sign out</button></form>
<h2>API tokens</h2>
${madeHtml(made)}
<form method="post" action="${escapeHtml(path)}/make-token">
<p><label>What it is for <input name="name" required maxlength="100"></label></p>
<p><label>Expires after days <input name="expiresInDays" type="number" min="1" max="3650"></label> (empty: never)</p>
<button>Make a token</button></form>
${tokens.map((token) => tokenHtml(token, path)).join('\n')}`;

export const renderAccount = (view: AccountView): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EkaCI: your account</title>
<link rel="stylesheet" href="${docsStylePath}">
</head>
<body>
<header><h1>Your account</h1></header>
<main>${
  view.user === null
    ? `<p>Nobody is signed in.</p><p><a href="${escapeHtml(view.loginPath)}">Sign in</a></p>`
    : signedInHtml(view)
}
</main>
</body>
</html>
`;
