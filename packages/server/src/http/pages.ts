// Where the styles of our pages are: files of this server, since a page may hold no style of its own.
export const logStylePath = '/v1/assets/log.css';
export const docsStylePath = '/v1/assets/docs.css';
