// The pages that a browser is shown, and what their forms do: the same as the commands of the remote control.
import * as z from 'zod';
import { findPull, findRepository } from '../../state/lookup.ts';
import { Refusal } from '../../state/refusal.ts';
import type { World } from '../../state/world.ts';
import { html } from './html.ts';
import { contentPolicy, layOut, type Viewer } from './layout.ts';
import { pullPage } from './pull-page.ts';
import { commitPage, homePage, repositoryPage } from './repository-page.ts';

export interface BrowserRequest {
  readonly method: string;
  /** With its query. */
  readonly url: string;
  readonly accept: string;
  readonly cookie: string;
  readonly body: string;
}

export interface BrowserAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface PagesDeps {
  readonly world: World;
  /** @throws Refusal */
  readonly runCommand: (name: string, input: unknown) => Promise<unknown>;
}

const cookieName = 'fake-github-login';

const readViewer = (world: World, { cookie }: BrowserRequest): Viewer => {
  const people = [...world.accounts.values()].filter(
    ({ kind, login }) => kind === 'User' && login !== 'web-flow',
  );
  const asked = new RegExp(`(?:^|; *)${cookieName}=([^;]*)`).exec(cookie)?.[1];
  const logins = people.map(({ login }) => login);
  const login = logins.find((one) => encodeURIComponent(one) === asked) ?? logins[0] ?? null;
  return { login, others: logins.filter((one) => one !== login) };
};

const send = (body: string, status = 200): BrowserAnswer => ({
  status,
  headers: {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': contentPolicy,
    'cache-control': 'no-store',
  },
  body,
});

const goTo = (place: string, headers: Readonly<Record<string, string>> = {}): BrowserAnswer => ({
  status: 303,
  headers: { ...headers, location: place },
  body: '',
});

/** A page of this fake. */
const isPlace = (place: string): boolean => /^\/(?!\/)[\w./-]*$/.test(place);

/** What each form may hold, as the command takes it. `by` is whoever looks at the page. */
const forms = {
  comment: z.object({ repository: z.string(), number: z.coerce.number(), body: z.string() }),
  review: z.object({ repository: z.string(), number: z.coerce.number(), state: z.literal('APPROVED') }),
  closePull: z.object({ repository: z.string(), number: z.coerce.number() }),
  reopenPull: z.object({ repository: z.string(), number: z.coerce.number() }),
  mergePull: z.object({ repository: z.string(), number: z.coerce.number() }),
  enqueue: z.object({ repository: z.string(), number: z.coerce.number() }),
  dequeue: z.object({ repository: z.string(), number: z.coerce.number() }),
  pressAction: z.object({ run: z.coerce.number(), identifier: z.string() }),
  rerequestRun: z.object({ run: z.coerce.number() }),
  /** `of`: `owner/name:branch`. */
  openPull: z
    .object({ repository: z.string(), title: z.string(), of: z.string().regex(/^[^:]+:./) })
    .transform(({ of, ...given }) => {
      const at = of.indexOf(':');
      return { ...given, from: of.slice(0, at), head: of.slice(at + 1) };
    }),
} as const;

const isForm = (name: string): name is keyof typeof forms => Object.hasOwn(forms, name);

const refuse = (viewer: Viewer, error: Refusal, back: string): BrowserAnswer => {
  const body = html`<h1>That cannot be done</h1><p>${error.message}</p><p><a href="${back}">Back</a></p>`;
  return send(layOut({ title: 'That cannot be done', path: back, viewer, trail: [], body }), error.status);
};

const takeForm = async (
  { world, runCommand }: PagesDeps,
  request: BrowserRequest,
  name: string,
): Promise<BrowserAnswer> => {
  const { back = '/', ...fields } = Object.fromEntries(new URLSearchParams(request.body));
  const place = isPlace(back) ? back : '/';
  if (name === 'be') {
    const login = encodeURIComponent(fields['login'] ?? '');
    return goTo(place, { 'set-cookie': `${cookieName}=${login}; Path=/; SameSite=Strict; HttpOnly` });
  }
  const viewer = readViewer(world, request);
  try {
    const input = isForm(name) ? forms[name].safeParse(fields) : null;
    if (input?.success !== true)
      throw new Refusal(400, 'This form is none of this version: load its page again.');
    const given = (await runCommand(name, { ...input.data, by: viewer.login ?? '' })) as {
      number?: number;
    } | null;
    return goTo(name === 'openPull' ? `${place}/pull/${given?.number}` : place);
  } catch (error) {
    if (error instanceof Refusal) return refuse(viewer, error, place);
    throw error;
  }
};

const findPage = (world: World, path: string, viewer: Viewer): string | null => {
  if (path === '/') return homePage(world, { path, viewer });
  const [owner = '', name = '', kind, which = '', ...more] = path.slice(1).split('/');
  const repository = more.length > 0 ? null : findRepository(world, owner, name);
  if (repository === null) return null;
  if (kind === undefined) return repositoryPage(world, { repository, path, viewer });
  if (kind === 'pull' && /^\d{1,9}$/.test(which)) {
    const pull = findPull(world, repository, Number(which));
    return pull === null ? null : pullPage(world, { repository, pull, path, viewer });
  }
  if (kind === 'commit' && /^[0-9a-f]{40}$/.test(which)) {
    return commitPage(world, { repository, sha: which, path, viewer });
  }
  return null;
};

/** Null where it is not a browser that asks, or for none of these pages. */
export const answerBrowser = async (
  deps: PagesDeps,
  request: BrowserRequest,
): Promise<BrowserAnswer | null> => {
  const path = request.url.split('?')[0] ?? '';
  if (request.method === 'POST' && path.startsWith('/_form/')) {
    return takeForm(deps, request, path.slice('/_form/'.length));
  }
  // Without a prefix the API has the same paths, and no program asks it for pages.
  if (request.method !== 'GET' || !request.accept.includes('text/html')) return null;
  const page = findPage(deps.world, path, readViewer(deps.world, request));
  return page === null ? null : send(page);
};
