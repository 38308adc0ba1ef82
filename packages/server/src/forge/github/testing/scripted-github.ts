// An HTTP server that answers as a test says, and a clock that moves only where somebody sleeps.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { Secret } from '../../../config/secret.ts';
import type { GithubCallReport, GithubClient, GithubIdentity } from '../github-client.ts';
import { createGithubHttp, type GithubHttpDeps } from '../github-http.ts';

export interface Seen {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** An answer, or whatever else is done with the connection. */
export type Scripted =
  | {
      readonly status?: number;
      readonly headers?: Record<string, string>;
      readonly json?: unknown;
      readonly text?: string;
    }
  | ((response: ServerResponse) => void);

export interface ScriptedGithub {
  readonly url: string;
  readonly seen: readonly Seen[];
}

/** @param answer told how many requests came before this one */
export const startScriptedGithub = async (
  answer: (seen: Seen, before: number) => Scripted | Promise<Scripted>,
): Promise<ScriptedGithub> => {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const reply = async (): Promise<void> => {
      const body = await text(request);
      const { method = '', url: path = '', headers } = request;
      const one: Seen = { method, path, headers, body: body === '' ? undefined : JSON.parse(body) };
      seen.push(one);
      const scripted = await answer(one, seen.length - 1);
      if (typeof scripted === 'function') {
        scripted(response);
        return;
      }
      const { status = 200, headers: more = {}, json } = scripted;
      response.writeHead(status, { 'content-type': 'application/json', ...more });
      response.end(scripted.text ?? (json === undefined ? '' : JSON.stringify(json)));
    };
    reply().catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, seen };
};

export interface TestClock {
  nowMs: number;
  /** How long was slept, each time. */
  readonly slept: number[];
}

export const createTestClock = (nowMs = Date.parse('2026-01-01T00:00:00Z')): TestClock => ({
  nowMs,
  slept: [],
});

/** Of a client that sleeps by the clock of the test. */
export const testHttpDeps = (github: ScriptedGithub, clock: TestClock): GithubHttpDeps => ({
  apiUrl: github.url,
  clock: () => clock.nowMs,
  random: () => 0.5,
  sleep: async (ms, signal) => {
    signal?.throwIfAborted();
    clock.slept.push(ms);
    Object.assign(clock, { nowMs: clock.nowMs + ms });
  },
});

export const testToken = 'ghs_canary0000000000000000000000000000000';

export const testIdentity = (
  name = 'installation 1',
  more: Partial<GithubIdentity> = {},
): GithubIdentity => ({
  name,
  token: async () => new Secret(testToken),
  refused: () => false,
  ...more,
});

export interface Scene {
  readonly github: ScriptedGithub;
  readonly clock: TestClock;
  readonly client: GithubClient;
  readonly reports: readonly GithubCallReport[];
}

/** One client of a GitHub that answers so. */
export const startScene = async (
  answer: Parameters<typeof startScriptedGithub>[0],
  {
    identity = testIdentity(),
    ...more
  }: Partial<GithubHttpDeps> & { readonly identity?: GithubIdentity } = {},
): Promise<Scene> => {
  const clock = createTestClock();
  const github = await startScriptedGithub(answer);
  const reports: GithubCallReport[] = [];
  const http = createGithubHttp({
    ...testHttpDeps(github, clock),
    onCall: (report) => reports.push(report),
    ...more,
  });
  return { github, clock, client: http.as(identity), reports };
};
