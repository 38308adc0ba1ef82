// Where git looks for a repository, as an address of the web: whatever is fetched is known by its hash, so it does not
// matter how it comes.

/** `user@host:path` and `host:path`; two colons would name a program, and a single letter a drive of Windows. */
const shortSsh = /^(?:[\w.-]+@)?(?<host>\w[\w.-]+):(?!:|\/\/)(?<path>\S+)$/;

const noWeb = /^(?:git\+)?(?:ssh|git)(?:\+git)?:\/\//i;

export interface WebAddress {
  readonly url: string;
  /** It was another protocol's, whose port means nothing to a web server, and whose user nothing to anybody. */
  readonly isRewritten: boolean;
}

/** Null for what is no address of another machine: a path, a program, what cannot be read. */
export const webAddressOf = (url: string): WebAddress | null => {
  if (/^https?:\/\//i.test(url)) return URL.canParse(url) ? { url, isRewritten: false } : null;
  const short = shortSsh.exec(url)?.groups;
  const path = short?.['path']?.replace(/^\/+/, '') ?? '';
  const plain = noWeb.test(url)
    ? url.replace(noWeb, 'https://')
    : short === undefined
      ? ''
      : `https://${short['host']}/${path}`;
  // Backslashes and blanks mean one thing to git and another to whoever reads URLs.
  const parsed = /[\s\\]/.test(plain) ? null : URL.parse(plain);
  if (parsed === null || parsed.hostname === '' || parsed.pathname === '/') return null;
  return { url: `https://${parsed.hostname}${parsed.pathname}`, isRewritten: true };
};
