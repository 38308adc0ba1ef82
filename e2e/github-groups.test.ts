// The merge queue of a GitHub that is not one, through the whole server: what it makes is judged, and merged or dropped.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, red, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;
beforeAll(async () => {
  town = await createGithubTown();
  await town.start();
  const requiredChecks = [{ context: 'EkaCI: packages' }, { context: 'EkaCI' }];
  await town.control.protect({ repository, branch: 'main', mergeQueue: true, requiredChecks });
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const open = async (branch: string, files: Record<string, string>) => {
  const { control } = town;
  const { sha } = await control.push({ repository, branch, files, from: 'main', by: 'alice' });
  const { number } = await control.openPull({ repository, head: branch, title: branch, by: 'alice' });
  return { number, sha };
};
const enqueue = (number: number) => town.control.enqueue({ repository, number, by: 'alice' });
const tipOf = async (branch: string) => (await town.control.readBranches({ repository }))[branch];
const untilLeft = (number: number) =>
  until(async () => {
    const queue = await town.control.readQueue({ repository, branch: 'main' });
    return queue.some((entry) => entry.number === number) ? null : true;
  });
const groupOf = async (sha: string) => {
  const groups = (await town.server()?.changes('&kind=group')) ?? [];
  return groups.find(({ headSha }) => headSha === sha);
};

it('judges what the queue makes of two pull requests, and both are merged as they were judged', {
  timeout: 120_000,
}, async () => {
  const alpha = await open('new-alpha', { 'alpha.sh': 'echo new alpha > $out' });
  const beta = await open('new-beta', { 'beta.sh': 'echo new beta > $out' });
  const base = await tipOf('main');
  const first = await enqueue(alpha.number);
  const second = await enqueue(beta.number);
  for (const { groupSha } of [first, second]) expect(await town.untilShown(groupSha, green)).toEqual(green);
  for (const { number } of [alpha, beta]) await untilLeft(number);
  expect(await tipOf('main')).toBe(second.groupSha);
  const facts = { kind: 'group', number: 0, baseBranch: 'main', conclusion: 'success' };
  expect(await groupOf(first.groupSha)).toMatchObject({ ...facts, baseSha: base, branch: first.groupRef });
  // Each against what it stands on.
  expect(await groupOf(second.groupSha)).toMatchObject({ ...facts, baseSha: first.groupSha });
  await until(async () => ((await groupOf(second.groupSha))?.state === 'closed' ? true : null));
  // What was shown stays: it was judged.
  expect(await town.checksOf(second.groupSha)).toEqual(green);
});

it('fails a group that breaks a package, and names it: the queue drops it', {
  timeout: 120_000,
}, async () => {
  const base = await tipOf('main');
  const { number } = await open('broken-alpha', { 'alpha.sh': 'echo broken; exit 1' });
  const { groupSha } = await enqueue(number);
  expect(await town.untilShown(groupSha, red)).toEqual(red);
  await untilLeft(number);
  expect(await tipOf('main')).toBe(base);
  await until(async () => ((await groupOf(groupSha))?.state === 'closed' ? true : null));
  await town.control.closePull({ repository, number, by: 'alice' });
});

it('gives up what leaves the queue, found also where no webhook tells of it', {
  timeout: 120_000,
}, async () => {
  const { control } = town;
  const slow = { 'alpha.sh': 'echo slow; /bin/sleep 600; echo > $out' };
  const { number, sha } = await open('slow-alpha', slow);
  await town.server()?.stop();
  await control.setWebhookMode({ mode: 'lose' });
  const { groupSha } = await enqueue(number);
  await town.start();
  await control.setWebhookMode({ mode: 'deliver' });
  await town.untilShown(groupSha, { EkaCI: 'in_progress', 'EkaCI: packages': 'in_progress' });
  await control.dequeue({ repository, number, by: 'alice' });
  await town.untilShown(groupSha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  expect(await groupOf(groupSha)).toMatchObject({ state: 'closed' });
  // The pull request wants the same build, and still has it.
  await town.untilShown(sha, { EkaCI: 'in_progress', 'EkaCI: packages': 'in_progress' });
  await control.closePull({ repository, number, by: 'alice' });
  await town.untilShown(sha, { EkaCI: 'cancelled' });
});
