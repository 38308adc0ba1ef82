// A private repository on a whole server: judged, built and merged like any other, and there for those alone who may read it.
import { createHmac, randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { runChild } from '@eka-ci/process';
import { ChangeDetail } from '@eka-ci/protocol/change';
import { JobDrvPage } from '@eka-ci/protocol/job';
import { Me, NewApiToken } from '@eka-ci/protocol/user';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createTestBrowser } from './testing/browser.ts';
import { createGithubTown, type GithubTown } from './testing/github.ts';
import { databasePath, type TestServer, until, webhookSecret } from './testing/server.ts';

const hush = 'octo/hush';
/** Private as well, and locked by that. */
const library = 'octo/library';
/** Of all that is of the private repository, but for its address. */
const canary = 'canary';
const libraryNix = `tree: name: derivation {
  inherit name; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" (builtins.readFile (tree + "/\${name}.sh")) ];
}`;
/** Its `beta` is that of the public one, too. */
const files = {
  'default.nix': `let
    pin = (builtins.fromJSON (builtins.readFile ./npins/sources.json)).pins.library;
    shell = import (builtins.fetchTarball { inherit (pin) url; sha256 = pin.hash; }) ./.;
  in { ${canary} = shell "${canary}"; beta = shell "beta"; }`,
  [`${canary}.sh`]: `echo ${canary} sings; echo 1 > $out`,
  'beta.sh': 'echo beta > $out',
  '.eka-ci/config.json': JSON.stringify({ jobs: { [canary]: { file: 'default.nix' } } }),
};

let town: GithubTown;
let server: TestServer;
const tokens = new Map<string, string>();

/** As npins locks what is at the head of the library; the store does not have it afterwards. */
const lockLibrary = async (): Promise<string> => {
  const { env, folder } = town.world;
  const tree = join(folder, 'library', 'source');
  await mkdir(tree, { recursive: true });
  await writeFile(join(tree, 'default.nix'), libraryNix);
  const nixStore = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runChild({ command: 'nix-store', args, env });
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  const path = await nixStore('--add-fixed', '--recursive', 'sha256', tree);
  const hash = await nixStore('--query', '--hash', path);
  await nixStore('--delete', path);
  const { main } = await town.control.readBranches({ repository: library });
  const url = `${town.github.url}/${library}/archive/${main}.tar.gz`;
  return JSON.stringify({ version: 5, pins: { library: { type: 'Git', url, hash } } });
};

/** Alice owns it, carol may read it, and bob has nothing to do with it. */
beforeAll(async () => {
  town = await createGithubTown({ signIn: true });
  const code = { 'default.nix': libraryNix };
  await town.control.createRepository({ owner: 'octo', name: 'library', private: true, files: code });
  const pinned = { ...files, 'npins/sources.json': await lockLibrary() };
  await town.control.createRepository({ owner: 'octo', name: 'hush', private: true, files: pinned });
  await town.control.setRole({ repository: hush, user: 'carol', role: 'read' });
  server = await town.start();
  for (const login of ['alice', 'bob', 'carol']) tokens.set(login, await makeToken(login));
}, 60_000);
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const makeToken = async (login: string): Promise<string> => {
  const browser = createTestBrowser();
  await town.control.signIn({ user: login });
  await browser.open(`${server.address}/github/auth/login?return_to=/v1/healthz`);
  const answer = await browser.send('POST', `${server.address}/v1/users/me/tokens`, { name: 'the test' });
  return NewApiToken.parse(JSON.parse(answer.body)).token;
};

type Who = 'anonymous' | 'alice' | 'bob' | 'carol';
const ask = async (who: Who, path: string): Promise<{ readonly status: number; readonly body: string }> => {
  const token = tokens.get(who);
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(server.address + path, { headers });
  return { status: answer.status, body: await answer.text() };
};
const statusOf = async (who: Who, path = `/v1/prs/${hush}/1`): Promise<number> =>
  (await ask(who, path)).status;
const untilStatus = (who: Who, wanted: number, path?: string) =>
  until(async () => ((await statusOf(who, path)) === wanted ? true : null));

/** As GitHub would send it; the fake knows no such event. */
const tellOfMember = async (id: number): Promise<void> => {
  const repository = { id: 1, full_name: hush };
  const html_url = `${town.github.url}/${hush}`;
  const told = { action: 'removed', member: { id }, repository: { ...repository, html_url } };
  const body = JSON.stringify(told);
  const signature = createHmac('sha256', webhookSecret).update(body).digest('hex');
  const headers = {
    ...{ 'content-type': 'application/json', 'x-github-event': 'member', 'x-github-delivery': randomUUID() },
    ...{
      'x-hub-signature-256': `sha256=${signature}`,
      'x-github-hook-installation-target-id': `${town.app.id}`,
    },
  };
  const answer = await fetch(`${server.address}/github/webhook`, { method: 'POST', headers, body });
  expect(answer.status).toBe(202);
};

it('is judged and merged, and shown to those who may read it', { timeout: 60_000 }, async () => {
  const { control } = town;
  const topic = { repository: hush, branch: 'topic', by: 'alice', from: 'main' };
  const moved = { [`${canary}.sh`]: `echo ${canary} sings on; echo 2 > $out` };
  const { sha } = await control.push({ ...topic, files: moved });
  const { number } = await control.openPull({ repository: hush, head: 'topic', title: canary, by: 'alice' });
  expect(number).toBe(1);
  await until(async () => {
    const runs = await control.readChecks({ repository: hush, sha });
    const shown = new Map(runs.map(({ name, conclusion }) => [name, conclusion]));
    const isDone = shown.get('EkaCI') === 'success' && shown.get('EkaCI change summary') === 'neutral';
    return isDone ? true : null;
  });

  const { body } = await ask('carol', `/v1/prs/${hush}/1`);
  expect(ChangeDetail.parse(JSON.parse(body))).toMatchObject({ title: canary, conclusion: 'success' });
  const { id } = ChangeDetail.parse(JSON.parse(body));
  const drvs = await ask('carol', `/v1/jobs/${id}.0/drvs`);
  const path = JobDrvPage.parse(JSON.parse(drvs.body)).drvs.find(({ attr }) => attr === canary)?.drvPath;
  const drv = path?.slice(path.lastIndexOf('/') + 1) ?? 'none';
  const hidden = [
    ...[`/v1/prs/${hush}/1`, `/v1/prs/github/${hush}/1/merge-eligibility`, `/v1/repositories/github/${hush}`],
    ...['jobs', 'check_runs', 'change-summary', 'change-summary.md'].map(
      (one) => `/v1/commits/${sha}/${one}`,
    ),
    ...[`/v1/jobs/${id}.0`, `/v1/jobs/${id}.0/drvs`, `/v1/drvs/${drv}`, `/v1/drvs/${drv}/history`],
    `/v1/logs/${drv}`,
  ];
  for (const one of hidden) {
    expect([one, await statusOf('alice', one), await statusOf('carol', one)]).toEqual([one, 200, 200]);
    expect([one, await statusOf('bob', one), await statusOf('anonymous', one)]).toEqual([one, 404, 404]);
  }
  expect((await ask('carol', `/v1/logs/${drv}?format=text`)).body).toContain(`${canary} sings on`);
  for (const list of ['/v1/prs', '/v1/prs/active', '/v1/repositories', '/v1/status', '/v1/builds/queue']) {
    for (const who of ['anonymous', 'bob'] as const) {
      const { status, body: told } = await ask(who, list);
      expect([status, told]).toEqual([200, expect.not.stringMatching(/hush|canary/) as string]);
    }
  }
  expect((await ask('carol', '/v1/prs')).body).toContain(canary);
  const tokenFile = join(town.world.folder, 'token');
  const changesAs = async (who: 'bob' | 'carol'): Promise<string> => {
    await writeFile(tokenFile, tokens.get(who) ?? '');
    const { address } = server;
    return (await town.world.ekaci('changes', '--server', address, '--token-file', tokenFile)).stdout;
  };
  expect([await changesAs('bob'), await changesAs('carol')]).toEqual([
    'No changes.\n',
    expect.stringMatching(/octo\/hush +1 +pull\/1 .* success$/m),
  ]);

  // What it locks of another private repository was read with a token for that alone.
  const asked = (await control.readRequests({})).filter(({ path }) => path.endsWith('/access_tokens'));
  const scoped = asked.map(({ body }) => body).filter((one) => one !== null);
  expect(scoped.length).toBeGreaterThan(0);
  for (const body of scoped) {
    expect(body).toEqual({ repositories: ['library'], permissions: { contents: 'read' } });
  }

  await control.comment({ repository: hush, number, body: '@eka-ci merge', by: 'alice' });
  await until(async () => ((await control.readPull({ repository: hush, number })).merged ? true : null));
});

it('is gone with the right to read it, and comes and goes with its visibility', {
  timeout: 60_000,
}, async () => {
  const { control } = town;
  expect(await statusOf('carol')).toBe(200);
  const me = await ask('carol', '/github/auth/me');
  const carol = Me.parse(JSON.parse(me.body)).user?.id ?? 0;
  await control.setRole({ repository: hush, user: 'carol', role: null });
  // What GitHub said holds for a minute, or until it says that it does not.
  await tellOfMember(carol);
  await untilStatus('carol', 404);

  await control.setVisibility({ repository: hush, private: false, by: 'alice' });
  await untilStatus('anonymous', 200);
  await untilStatus('bob', 200, '/v1/repositories/github/octo/hush');
  await control.setVisibility({ repository: hush, private: true, by: 'alice' });
  await untilStatus('anonymous', 404);
  expect(await statusOf('bob')).toBe(404);
  expect(await statusOf('alice')).toBe(200);

  // It is known to be private before GitHub is asked again.
  await server.kill();
  await control.addFault({ path: '^/installation/', times: 1000, fault: { kind: 'status', status: 503 } });
  server = await town.start();
  expect(await statusOf('anonymous')).toBe(404);
  expect((await ask('anonymous', '/v1/prs')).body).not.toContain(canary);
  await control.clearFaults({});
});

/** As of a server that died before it had read any of it: much that hides nothing, and at last that the repository is private. */
const leaveUnread = (count: number): void => {
  const database = new DatabaseSync(databasePath(town.world));
  const told = database
    .prepare(`select key, payload from deliveries where payload like '%-visibility"%"isPrivate":true%'`)
    .get();
  const { key, payload } = told ?? {};
  const insert = database.prepare(
    'insert into deliveries (key, sequence, payload, received_at_ms) values (?, ?, ?, 0)',
  );
  const add = (at: number, text: string): void =>
    void insert.run(String(key).replace('"]', `-${at}"]`), 1_000_000 + at, text);
  database.exec('begin');
  for (let at = 0; at < count; at++) add(at, '{"kind":"ping"}');
  add(count, String(payload));
  database.exec('commit');
  database.close();
};

it('is shown to nobody while a server that starts has not read that it is private', {
  timeout: 60_000,
}, async () => {
  const { control } = town;
  // What it could not ask before it would ask in a while only.
  await server.kill();
  server = await town.start();
  await control.setVisibility({ repository: hush, private: false, by: 'alice' });
  await untilStatus('anonymous', 200);
  await server.kill();
  leaveUnread(30_000);
  await control.addFault({ path: '^/installation/', times: 1000, fault: { kind: 'status', status: 503 } });
  const starting = town.start();
  const seen = new Set<number>();
  await until(async () => {
    // Nothing listens at first.
    const status = await statusOf('anonymous').catch(() => 0);
    seen.add(status);
    return status === 200 || status === 404 ? true : null;
  });
  server = await starting;
  expect([...seen]).toEqual([0, 503, 404]);
  await control.clearFaults({});
});
