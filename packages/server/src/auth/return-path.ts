// Where somebody goes on after signing in: a path of this server, or nowhere. Whatever a browser could take for another
// site is refused, for the address may come from anybody. Pure.

const longestPath = 2000;
/** Sign-in itself: whoever returns there is sent away again, for ever. */
const notBackTo = '/github/auth/';

/** Null where it does not lead to a page of this server. */
export const parseReturnPath = (text: string): string | null => {
  // A browser reads a backslash as a slash, and passes over tabs and line feeds wherever they are.
  if (text.length > longestPath || !/^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/.test(text)) return null;
  const url = URL.parse(text, 'http://here.invalid');
  if (url === null || url.origin !== 'http://here.invalid' || url.pathname.startsWith('//')) return null;
  if (url.pathname.startsWith(notBackTo)) return null;
  return `${url.pathname}${url.search}${url.hash}`;
};
