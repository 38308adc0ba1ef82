// A merge queue whose entries wait for approval: by the pull request, and by the button of the entry's own gate.
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;
beforeAll(async () => {
  town = await createGithubTown({ settings: ['merge_queue_require_approval = true'] });
  await town.start();
  const requiredChecks = [{ context: 'EkaCI' }];
  await town.control.protect({ repository, branch: 'main', mergeQueue: true, requiredChecks });
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

/** By bob, who may not write there. */
const openFromOutside = async (branch: 'alpha' | 'beta'): Promise<number> => {
  const fork = 'bob/pkgs';
  const files = { [`${branch}.sh`]: 'echo from outside > $out' };
  await town.control.push({ repository: fork, branch, files, from: 'main', by: 'bob' });
  const { number } = await town.control.openPull({ repository, head: branch, from: fork, by: 'bob' });
  return number;
};
const gateOf = async (sha: string) => {
  const runs = await town.control.readChecks({ repository, sha });
  return runs.find(({ name }) => name === 'EkaCI');
};
/** @returns the group, when it waits */
const enqueue = async (number: number) => {
  const { groupSha } = await town.control.enqueue({ repository, number, by: 'alice' });
  await until(async () => ((await gateOf(groupSha))?.output.title === 'Waiting for approval' ? true : null));
  return groupSha;
};
const untilMerged = (tip: string) =>
  until(async () => {
    const branches = await town.control.readBranches({ repository });
    return branches['main'] === tip ? true : null;
  });

it('waits for whoever is from outside, and goes on when the pull request is approved', {
  timeout: 120_000,
}, async () => {
  const number = await openFromOutside('alpha');
  const groupSha = await enqueue(number);
  // Not concluded: the queue would drop it for that.
  expect(await town.checksOf(groupSha)).toEqual({ EkaCI: 'queued' });
  const name = `${new URL(town.github.url).host}/${repository}`;
  const socket = join(town.world.folder, 'ekaci.socket');
  const approved = await town.world.ekaci('approve', name, String(number), '--socket', socket);
  expect(approved).toMatchObject({ code: 0 });
  await town.untilShown(groupSha, green);
  await untilMerged(groupSha);
});

it('goes on at the press of its own button, by somebody who may write', { timeout: 120_000 }, async () => {
  const groupSha = await enqueue(await openFromOutside('beta'));
  const run = await gateOf(groupSha);
  const press = (by: string) => town.control.pressAction({ run: run?.id ?? 0, identifier: 'approve', by });
  await press('bob');
  await town.control.settle({});
  expect((await gateOf(groupSha))?.output.title).toBe('Waiting for approval');
  await press('carol');
  await town.untilShown(groupSha, green);
  await untilMerged(groupSha);
});

it('never waits for what people with write access offer', { timeout: 120_000 }, async () => {
  const { control } = town;
  const files = { 'alpha.sh': 'echo by carol > $out' };
  await control.push({ repository, branch: 'three', files, from: 'main', by: 'carol' });
  const { number } = await control.openPull({ repository, head: 'three', by: 'carol' });
  const { groupSha } = await control.enqueue({ repository, number, by: 'alice' });
  await town.untilShown(groupSha, green);
  await untilMerged(groupSha);
});
