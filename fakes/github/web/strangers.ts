// Keeps pages of others away from a fake that runs on a developer's machine: whoever may push to it has things built there.

const ownHosts: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

const hostnameOf = (url: string): string | null => (URL.canParse(url) ? new URL(url).hostname : null);

/**
 * A browser says which page a request comes from, where it changes something; and by which name it found the server, which
 * anybody's name can be made to lead to.
 * @returns why it is refused; null where it is not
 */
export const refuseStranger = ({
  method,
  headers: { origin, host = '' },
}: {
  readonly method: string;
  readonly headers: { readonly origin?: string | undefined; readonly host?: string | undefined };
}): string | null => {
  if (!ownHosts.has(hostnameOf(`http://${host}`) ?? ''))
    return `this fake is not ${host}: ask it at 127.0.0.1`;
  if (method === 'GET' || origin === undefined || origin === `http://${host}`) return null;
  return `a page of ${origin} may not ask this fake for anything`;
};
