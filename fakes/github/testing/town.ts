// A fake with an organization, people, a repository and an installed app: what most tests begin with.
import { sign } from 'node:crypto';
import type { NewRepositoryFacts } from '../control/control.ts';
import { type FakeGitHub, type FakeGitHubOptions, startFakeGitHub } from '../start.ts';
import { type Json, type JsonObject, wordOf } from '../state/json.ts';
import { type Receiver, startReceiver } from './receiver.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Null for an empty body. */
  readonly body: JsonObject;
  readonly list: readonly JsonObject[];
}

export type Send = (
  method: string,
  path: string,
  given?: { readonly body?: Json; readonly headers?: Readonly<Record<string, string>> },
) => Promise<Reply>;

export const allPermissions = {
  actions: 'write',
  administration: 'read',
  checks: 'write',
  contents: 'write',
  issues: 'write',
  members: 'read',
  merge_queues: 'read',
  metadata: 'read',
  pull_requests: 'write',
  statuses: 'write',
  workflows: 'write',
} as const;

const allEvents = [
  'check_run',
  'check_suite',
  'create',
  'delete',
  'issue_comment',
  'merge_group',
  'pull_request',
  'pull_request_review',
  'push',
  'repository',
  'status',
  'workflow_run',
];

export const secret = 'a secret that both know';

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** An app's signed token, as GitHub documents it; `claims` replaces what a good one has. */
export const signJwt = (privateKey: string, issuer: Json, claims: JsonObject = {}): string => {
  const nowS = Math.floor(Date.now() / 1000);
  const parts = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ iat: nowS - 60, exp: nowS + 500, iss: issuer, ...claims })}`;
  return `${parts}.${sign('RSA-SHA256', Buffer.from(parts), privateKey).toString('base64url')}`;
};

/** A client of one token; null: nobody's. */
export const sendAs =
  (apiUrl: string, token: string | null): Send =>
  async (method, path, { body, headers } = {}) => {
    const answer = await fetch(apiUrl + path, {
      method,
      redirect: 'manual',
      headers: {
        accept: 'application/vnd.github+json',
        'user-agent': 'fake-github-tests',
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const read = (text === '' ? {} : JSON.parse(text)) as JsonObject & readonly JsonObject[];
    return { status: answer.status, headers: answer.headers, body: read, list: read };
  };

export interface Town {
  readonly github: FakeGitHub;
  readonly receiver: Receiver;
  readonly repository: NewRepositoryFacts;
  readonly app: {
    readonly id: number;
    readonly clientId: string;
    readonly clientSecret: string;
    readonly privateKey: string;
  };
  readonly installation: number;
  /** By the installation's token. */
  readonly send: Send;
  /** By the app's own signed token. */
  readonly sendApp: Send;
  /** By the maintainer `alice`, the reader `bob` and nobody. */
  readonly sendAlice: Send;
  readonly sendBob: Send;
  readonly sendNobody: Send;
  readonly tokens: { readonly installation: string; readonly alice: string; readonly bob: string };
  as(token: string | null): Send;
  /** Deliveries so far, once all are sent. */
  delivered(event: string, action?: string): Promise<readonly JsonObject[]>;
  close(): Promise<void>;
}

/** `octo/pkgs` is public, alice administers it and bob is nobody there; the app may do everything. */
export const buildTown = async (options: FakeGitHubOptions = {}): Promise<Town> => {
  const github = await startFakeGitHub(options);
  const receiver = await startReceiver();
  const { control, apiUrl } = github;
  const alice = await control.createUser({ login: 'alice', name: 'Alice', email: 'alice@example.org' });
  const bob = await control.createUser({ login: 'bob' });
  await control.createOrganization({ login: 'octo', members: { alice: 'admin' } });
  const repository = await control.createRepository({
    owner: 'octo',
    name: 'pkgs',
    files: { 'a.nix': '1\n' },
  });
  const app = await control.createApp({
    slug: 'eka',
    owner: 'octo',
    permissions: allPermissions,
    events: allEvents,
    callbackUrls: ['http://127.0.0.1:1/callback'],
    hookUrl: receiver.url,
    hookSecret: secret,
  });
  const { id: installation } = await control.install({ app: app.id, account: 'octo' });
  const sendApp = sendAs(apiUrl, signJwt(app.privateKey, app.id));
  const { body } = await sendApp('POST', `/app/installations/${installation}/access_tokens`);
  const tokens = { installation: wordOf(body['token']), alice: alice.token, bob: bob.token };
  return {
    github,
    receiver,
    repository,
    app,
    installation,
    tokens,
    sendApp,
    send: sendAs(apiUrl, tokens.installation),
    sendAlice: sendAs(apiUrl, tokens.alice),
    sendBob: sendAs(apiUrl, tokens.bob),
    sendNobody: sendAs(apiUrl, null),
    as: (token) => sendAs(apiUrl, token),
    delivered: async (event, action) => {
      await control.settle({});
      const wanted = receiver.received.filter(
        (one) => one.event === event && (action === undefined || one.payload['action'] === action),
      );
      return wanted.map(({ payload }) => payload);
    },
    close: async () => {
      await github.stop();
      await receiver.close();
    },
  };
};
