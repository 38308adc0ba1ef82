// The page of a sign-in that came to nothing: what happened, and how to begin anew. Nothing on it runs.
import type { FastifyReply } from 'fastify';
import { answerOf, type HttpError } from './errors.ts';
import { escapeHtml } from './html-text.ts';
import { docsStylePath } from './pages.ts';
import { pageHeaders } from './security-headers.ts';

/** @param againPath where a sign-in begins */
export const sendRefusal = (reply: FastifyReply, error: HttpError, againPath: string): FastifyReply => {
  const { status, body } = answerOf(error);
  const { code, message } = body.error;
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>EkaCI: not signed in</title>
<link rel="stylesheet" href="${docsStylePath}">
</head>
<body>
<header><h1>Not signed in</h1></header>
<main>
<p>${escapeHtml(message)}.</p>
<p><a href="${escapeHtml(againPath)}">Sign in</a></p>
<p class="type">${escapeHtml(code)}</p>
</main>
</body>
</html>
`;
  return reply
    .code(status)
    .headers({ ...pageHeaders, 'content-type': 'text/html; charset=utf-8' })
    .serializer((text: unknown) => String(text))
    .send(html);
};
