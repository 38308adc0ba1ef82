// A browser without a window: it keeps cookies by host, goes where it is sent, and says which page it is on.

export interface BrowserAnswer {
  readonly status: number;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}

export interface TestBrowser {
  /** Follows redirects to the end. */
  open(url: string): Promise<BrowserAnswer>;
  /** As a script of that origin's own pages does. */
  send(method: 'POST' | 'DELETE', url: string, body?: object): Promise<BrowserAnswer>;
  /** What it would show that server. */
  cookiesOf(url: string): string;
  setCookies(url: string, cookies: string): void;
}

const mostHops = 10;

export const createTestBrowser = (): TestBrowser => {
  /** Of each origin by name. */
  const jars = new Map<string, Map<string, string>>();
  const jarOf = (url: string): Map<string, string> => {
    const { origin } = new URL(url);
    const jar = jars.get(origin) ?? new Map<string, string>();
    jars.set(origin, jar);
    return jar;
  };
  const cookiesOf = (url: string): string =>
    [...jarOf(url)].map(([name, value]) => `${name}=${value}`).join('; ');
  const keep = (url: string, line: string): void => {
    const [pair = '', ...attributes] = line.split('; ');
    const [name = '', value = ''] = pair.split(/=(.*)/s);
    if (attributes.includes('Max-Age=0')) jarOf(url).delete(name);
    else jarOf(url).set(name, value);
  };
  const ask = async (url: string, init: RequestInit): Promise<Response> => {
    const headers = { ...(init.headers as Record<string, string>), cookie: cookiesOf(url) }; // Given below, as such.
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) keep(url, line);
    return response;
  };
  const read = async (url: string, response: Response): Promise<BrowserAnswer> => {
    const { status, headers } = response;
    return { status, headers, url, body: await response.text() };
  };
  return {
    cookiesOf,
    setCookies(url, cookies) {
      for (const pair of cookies.split('; ')) keep(url, pair);
    },
    async open(first) {
      let url = first;
      for (let hop = 0; hop < mostHops; hop++) {
        const response = await ask(url, { headers: { accept: 'text/html,*/*;q=0.8' } });
        const location = response.headers.get('location');
        if (location === null) return await read(url, response);
        url = new URL(location, url).href;
      }
      throw new Error(`${first} leads around in circles`);
    },
    async send(method, url, body) {
      const headers = {
        origin: new URL(url).origin,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      };
      const response = await ask(url, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      return await read(url, response);
    },
  };
};
