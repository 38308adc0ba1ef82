// A browser in front of an app: it keeps cookies, goes where it is sent, and says which page it is on.
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import type { FakeSignIn } from '../../forge/forge-sign-in.fake.ts';

export interface Browser {
  readonly cookies: Map<string, string>;
  get(url: string, headers?: Readonly<Record<string, string>>): Promise<LightMyRequestResponse>;
  /** From a page of the server itself, unless the headers say otherwise. */
  send(
    method: 'POST' | 'DELETE',
    url: string,
    more?: { readonly body?: object; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<LightMyRequestResponse>;
  /** Goes to the forge. @returns where it was sent */
  begin(query?: string): Promise<string>;
  /** The whole way there and back as this user. */
  signIn(
    forge: FakeSignIn,
    user: { readonly id: number; readonly login: string },
  ): Promise<LightMyRequestResponse>;
}

export const createBrowser = (app: FastifyInstance): Browser => {
  const cookies = new Map<string, string>();
  const ask = async (
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    { body, headers = {} }: { readonly body?: object; readonly headers?: Readonly<Record<string, string>> },
  ): Promise<LightMyRequestResponse> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await app.inject({
      method,
      url,
      headers: { ...(cookie !== '' && { cookie }), ...headers },
      ...(body !== undefined && { payload: body }),
    });
    for (const { name, value, maxAge } of answer.cookies as {
      name: string;
      value: string;
      maxAge?: number;
    }[]) {
      if (maxAge === 0) cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  const begin = async (query = ''): Promise<string> =>
    (await ask('GET', `/github/auth/login${query}`, {})).headers.location ?? '';
  return {
    cookies,
    begin,
    get: (url, headers = {}) => ask('GET', url, { headers }),
    send: (method, url, { headers = {}, ...more } = {}) =>
      ask(method, url, { ...more, headers: { 'sec-fetch-site': 'same-origin', ...headers } }),
    async signIn(forge, user) {
      const brought = forge.consent(await begin(), user);
      return await ask('GET', `/github/auth/callback?${new URLSearchParams({ ...brought }).toString()}`, {});
    },
  };
};
