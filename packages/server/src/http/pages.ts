// Where our pages are, and their styles: files of this server, since a page may hold no style of its own.
export const logStylePath = '/v1/assets/log.css';
export const docsStylePath = '/v1/assets/docs.css';

/** Where a browser signs in, and where it lands then. */
export const loginPath = '/github/auth/login';
export const accountPath = '/github/auth/account';
