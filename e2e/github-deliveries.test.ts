// Thousands of deliveries at once over HTTP, and the server killed among them: what was answered with 202 has its effect,
// once.
import { createHmac, randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import { databasePath, until, webhookSecret } from './testing/server.ts';

/** Ten thousand take half a minute. */
const deliveries = Number(process.env['EKA_CI_TEST_DELIVERIES'] ?? 3000);
const [pulls, connections] = [6, 32];

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown();
  await town.start();
}, 60_000);
afterAll(() => town.remove());

const propose = async (branch: string) => {
  const { control } = town;
  const files = { 'alpha.sh': `echo ${branch} > $out` };
  const { sha } = await control.push({ repository, branch, files, from: 'main', by: 'alice' });
  const { number } = await control.openPull({ repository, head: branch, by: 'alice' });
  return { sha, number };
};

/** What GitHub tells of a pull request that was pushed to, as its API shows it. */
const bodyOf = async (number: number): Promise<string> => {
  const answer = await fetch(`${town.github.apiUrl}/repos/${repository}/pulls/${number}`);
  const pull = (await answer.json()) as { base: { repo: unknown }; user: unknown };
  const installation = { id: town.app.installation };
  return JSON.stringify({
    ...{ action: 'synchronize', number, pull_request: pull, repository: pull.base.repo },
    ...{ sender: pull.user, installation },
  });
};

const send = (agent: Agent, body: string, id: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const signature = createHmac('sha256', webhookSecret).update(body).digest('hex');
    const headers = {
      'content-type': 'application/json',
      'x-github-event': 'pull_request',
      'x-github-delivery': id,
      'x-github-hook-installation-target-id': String(town.app.id),
      'x-github-hook-installation-target-type': 'integration',
      'x-hub-signature-256': `sha256=${signature}`,
    };
    const url = `http://127.0.0.1:${town.port}/github/webhook`;
    request(url, { method: 'POST', agent, headers }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
    })
      .once('error', reject)
      .end(body);
  });

/** @returns the ids that were answered with 202 */
const sendUntilKilled = async (bodies: readonly string[]): Promise<string[]> => {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const answered: string[] = [];
  let sent = 0;
  let isKilled = false;
  const line = async (): Promise<void> => {
    while (!isKilled && sent < deliveries) {
      const body = bodies[sent++ % bodies.length] ?? '';
      const id = randomUUID();
      try {
        expect(await send(agent, body, id)).toBe(202);
      } catch (error) {
        // The connections of a server that is dead break; whoever sent a delivery knows nothing of it then.
        if (!isKilled) throw error;
        return;
      }
      answered.push(id);
      if (answered.length !== Math.floor(deliveries / 2)) continue;
      isKilled = true;
      await town.server()?.kill();
    }
  };
  await Promise.all(Array.from({ length: connections }, line));
  agent.destroy();
  return answered;
};

/** Beside the server that writes them. */
const readRows = () => {
  const database = new DatabaseSync(databasePath(town.world), { readOnly: true });
  try {
    return database.prepare('SELECT key, done_at_ms FROM deliveries').all();
  } finally {
    database.close();
  }
};

it('has done after kill -9 what it had answered, each effect once', { timeout: 180_000 }, async () => {
  const { control } = town;
  await control.setWebhookMode({ mode: 'lose' });
  const proposed: Awaited<ReturnType<typeof propose>>[] = [];
  for (let at = 0; at < pulls; at++) proposed.push(await propose(`change-${at}`));
  const bodies = await Promise.all(proposed.map(({ number }) => bodyOf(number)));
  const answered = await sendUntilKilled(bodies);
  expect(answered.length).toBeGreaterThanOrEqual(Math.floor(deliveries / 2));

  await town.start();
  await Promise.all(proposed.map(({ sha }) => town.untilShown(sha, green)));
  await until(async () => (readRows().every(({ done_at_ms }) => done_at_ms !== null) ? true : null));
  const keys = readRows().map(({ key }) => String(key));
  // One row each, and none is missing.
  expect(answered.filter((id) => keys.filter((key) => key.includes(id)).length !== 1)).toEqual([]);
  // Each change once, judged, with each gate once (checksOf fails where one is there twice).
  const changes = (await town.server()?.changes()) ?? [];
  const offered = changes.filter(({ branch }) => branch.startsWith('pull/'));
  expect(offered.map(({ state, conclusion }) => `${state} ${conclusion}`)).toEqual(
    Array.from({ length: pulls }, () => 'judged success'),
  );
  expect(offered.map(({ headSha }) => headSha).toSorted()).toEqual(proposed.map(({ sha }) => sha).toSorted());
  await town.expectCalm();
});
