// The GitHub driver on a GitHub process of its own, as the contract of hosted forges uses one.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleepFor } from 'node:timers/promises';
import type { CommitSha } from '@eka-ci/core/ids';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { Secret } from '../../config/secret.ts';
import { createGithubForge } from '../github/github-forge.ts';
import { createGithubHttp } from '../github/github-http.ts';
import type { HostedForge, RawDelivery } from '../hosted-forge.ts';
import type { ForgeWorld, OpenedChange, ShownGate } from './forge-world.ts';

const secret = 'what both know';
const owner = 'octo';
const [read, write] = ['read', 'write'] as const;
const permissions = {
  ...{ checks: write, contents: write, pull_requests: write, issues: write, workflows: write },
  ...{ actions: read, merge_queues: read, members: read, metadata: read },
};

/** Takes webhooks down, and answers what it is told to. */
const startReceiver = async () => {
  const received: RawDelivery[] = [];
  const answers = { status: 202 };
  const server = createServer((request, response) => {
    const take = async (): Promise<void> => {
      received.push({ headers: request.headers, body: await buffer(request) });
      response.writeHead(answers.status).end();
    };
    take().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/github/webhook`, received, answers, close };
};

interface Town {
  readonly github: FakeGitHub;
  readonly receiver: Awaited<ReturnType<typeof startReceiver>>;
  readonly app: { readonly id: number; readonly privateKey: string };
  /** Of the worlds so far. */
  worlds: number;
}

interface Scene {
  readonly town: Town;
  readonly control: FakeGitHub['control'];
  readonly forge: HostedForge;
  /** What the names of this test's repositories begin with. */
  readonly prefix: string;
  /** Whether the driver really waits where it is to. */
  readonly waiting: { isReal: boolean };
  next(): number;
}

const createForge = ({ github, app }: Town, prefix: string, waiting: Scene['waiting']): HostedForge =>
  createGithubForge({
    webUrl: github.url,
    http: createGithubHttp({
      apiUrl: github.apiUrl,
      clock: Date.now,
      sleep: async (ms, signal) => {
        if (waiting.isReal) await sleepFor(ms, undefined, signal === undefined ? {} : { signal });
      },
    }),
    apps: [
      {
        id: 'default',
        permissions: {
          allow_all: false,
          allowed_repos: [`${owner}/${prefix}served-*`],
          allowed_branches: [],
        },
        loadCredentials: async () => ({ appId: String(app.id), privateKey: new Secret(app.privateKey) }),
      },
    ],
    webhookSecrets: [new Secret(secret)],
    knowsGithubIds: true,
    clock: Date.now,
  });

/** The owner of all repositories, who pushes to them. */
const by = 'alice';

const createCode = ({ control, prefix, next }: Scene) => {
  const push: ForgeWorld['push'] = async ({ repository, branch, files, atMs }) => {
    const known = await control.readBranches({ repository });
    const from = branch in known ? {} : { from: 'main' };
    const { sha } = await control.push({
      repository,
      branch,
      files: { ...files },
      atMs: atMs ?? null,
      by,
      ...from,
    });
    return sha as CommitSha;
  };
  /** Where a change comes from. */
  const heads = new Map<string, { readonly repository: string; readonly branch: string }>();
  const keyOf = ({ repository, number }: Pick<OpenedChange, 'number' | 'repository'>) =>
    `${repository}#${number}`;
  return {
    push,
    async createRepository({ isPrivate = false, isPermitted = true } = {}) {
      const name = `${prefix}${isPermitted ? 'served' : 'foreign'}-${next()}`;
      const files = { 'README.md': 'read' };
      const { id, head } = await control.createRepository({ owner, name, private: isPrivate, files });
      return { id, name: `${owner}/${name}`, mainSha: head as CommitSha };
    },
    async rename(repository) {
      await control.renameRepository({ repository, name: `${repository.split('/')[1]}-renamed`, by });
      return { name: `${repository}-renamed` };
    },
    async openChange({ repository, files, by: author, isDraft: draft = false, isFromFork = false }) {
      const branch = `topic-${next()}`;
      const from = isFromFork ? `${author.login}/fork-${next()}` : repository;
      if (isFromFork) {
        await control.fork({ repository, owner: author.login, name: from.split('/')[1] });
        await control.push({ repository: from, branch, files: { ...files }, from: 'main', by: author.login });
      } else await push({ repository, branch, files });
      const opening = { repository, head: branch, draft, by: author.login };
      const opened = await control.openPull({ ...opening, ...(isFromFork && { from }) });
      const change = { repository, number: opened.number, headSha: opened.headSha as CommitSha };
      heads.set(keyOf(change), { repository: from, branch });
      return change;
    },
    async moveChange(change) {
      const head = heads.get(keyOf(change));
      if (head === undefined) throw new Error('there is no such change');
      return push({ ...head, files: { moved: '1' } });
    },
    async closeChange({ repository, number }) {
      await control.closePull({ repository, number, by });
    },
  } satisfies Partial<ForgeWorld>;
};

const createTalk = ({ control, next }: Scene) =>
  ({
    async createPerson(login) {
      const person = await control.createUser({ login: `${login}-${next()}` });
      return { id: person.id, login: person.login, isPerson: true };
    },
    async setRight(repository, login, right) {
      await control.setRole({ repository, user: login, role: right });
    },
    async comment({ repository, number }, { by: author, text, as }) {
      const body = as === undefined ? text : `<!-- ekaci:${as} -->\n${text}`;
      return (await control.comment({ repository, number, body, by: author.login })).id;
    },
    async deleteComment(_, comment) {
      await control.deleteComment({ comment, by });
    },
    async comments({ repository, number }) {
      const shown = await control.readComments({ repository, number });
      return shown.map(({ id, author, body, reactions }) => ({
        ...{ id, isOurs: author === 'eka[bot]', text: body.replace(/^<!-- ekaci:\S+ -->\n/, '') },
        reactions: reactions.map(({ content }) => content),
      }));
    },
  }) satisfies Partial<ForgeWorld>;

const stateOf = (status: string, conclusion: string | null): ShownGate['state'] =>
  (conclusion ?? status).replaceAll('_', '-') as ShownGate['state'];

const createSettings = ({ control }: Scene) =>
  ({
    async gates(repository, sha) {
      const shown = await control.readChecks({ repository, sha });
      return shown.map(({ id, name, externalId, status, conclusion, output, annotations, actions }) => ({
        ...{ id, name, externalId, state: stateOf(status, conclusion), title: output.title ?? '' },
        annotations: annotations.map(({ path, message }) => ({ path, message })),
        actions: actions.map(({ identifier }) => identifier),
      }));
    },
    async allowMethods(repository, methods) {
      await control.configureRepository({ repository, mergeMethods: [...methods] });
    },
    async protectMain(repository) {
      const requiredChecks = [{ context: 'a check of nobody' }];
      await control.protect({ repository, branch: 'main', requiredChecks });
    },
    async queueMain(repository) {
      await control.protect({ repository, branch: 'main', mergeQueue: true });
    },
  }) satisfies Partial<ForgeWorld>;

/** So many requests fail: more than a test makes. */
const times = 10_000;

const createTrouble = ({ control, town, forge, prefix, waiting, next }: Scene) =>
  ({
    async fail({ mayPass, retryAtMs }) {
      const retryAfterS = Math.round(((retryAtMs ?? 0) - Date.now()) / 1000);
      const fault =
        retryAtMs === null
          ? ({ kind: 'status', status: mayPass ? 503 : 422 } as const)
          : ({ kind: 'rateLimited', retryAfterS } as const);
      await control.addFault({ times, fault });
    },
    async stall(how) {
      waiting.isReal = true;
      const pause = { kind: 'rateLimited', retryAfterS: 40 } as const;
      await control.addFault({ times, fault: how === 'silent' ? { kind: 'hang' } : pause });
    },
    async recover() {
      waiting.isReal = false;
      await control.clearFaults({});
    },
    askedCount: async () => (await control.readRequests({})).length,
    async tellTwice() {
      await control.settle({});
      const { received, answers } = town.receiver;
      const sinceMs = Date.now() - 60_000;
      [received.length, answers.status] = [0, 503];
      const name = `${prefix}served-${next()}`;
      const repository = `${owner}/${name}`;
      await control.createRepository({ owner, name, files: { a: '0' } });
      await control.push({ repository, branch: 'topic', from: 'main', files: { a: '1' }, by });
      const { number } = await control.openPull({ repository, head: 'topic', by });
      await control.comment({ repository, number, body: 'a remark', by });
      await control.settle({});
      answers.status = 202;
      await forge.retell(sinceMs, AbortSignal.timeout(10_000));
      await control.settle({});
      const told = received.filter(({ headers }) => headers['x-github-event'] === 'issue_comment');
      const [first, again] = told;
      if (first === undefined || again === undefined) throw new Error('it was not told twice');
      return [first, again];
    },
  }) satisfies Partial<ForgeWorld>;

export interface GithubForgeTown {
  open(): Promise<ForgeWorld>;
  /** After each test. @returns what was wrong with any request or answer by GitHub's own description */
  calm(): Promise<readonly unknown[]>;
  stop(): Promise<void>;
}

export const startGithubForgeTown = async (): Promise<GithubForgeTown> => {
  const github = await startFakeGitHub();
  const receiver = await startReceiver();
  const { control } = github;
  await control.createUser({ login: by });
  await control.createOrganization({ login: owner, members: { [by]: 'admin' } });
  const app = await control.createApp({
    ...{
      slug: 'eka',
      owner,
      permissions,
      events: ['issue_comment'],
      hookUrl: receiver.url,
      hookSecret: secret,
    },
  });
  await control.install({ app: app.id, account: owner });
  const town: Town = { github, receiver, app, worlds: 0 };
  let lastNumber = 0;
  const next = (): number => (lastNumber += 1);
  return {
    async open() {
      town.worlds += 1;
      const prefix = `w${town.worlds}-`;
      const waiting = { isReal: false };
      const forge = createForge(town, prefix, waiting);
      const scene: Scene = { town, control, forge, prefix, waiting, next };
      return {
        ...{ forge, ...createCode(scene), ...createTalk(scene) },
        ...{ ...createSettings(scene), ...createTrouble(scene) },
      };
    },
    async calm() {
      await control.clearFaults({});
      return control.readViolations({});
    },
    async stop() {
      await github.stop();
      receiver.close();
    },
  };
};
