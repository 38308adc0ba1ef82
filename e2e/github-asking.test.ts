// People on a forge: outsiders who wait for approval, and comments that are commands; through the whole server.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown({ settings: ['require_approval = true'] });
  await town.start();
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

/** By bob, who may write to his fork alone. */
const openFromOutside = async (branch: string, files: Readonly<Record<string, string>>) => {
  const { control } = town;
  await control.push({ repository: 'bob/pkgs', branch, from: 'main', files, by: 'bob' });
  return control.openPull({ repository, head: branch, from: 'bob/pkgs', title: branch, by: 'bob' });
};

const askedAtMs = new Map<string, number>();

/** One may have one command in five seconds, by the whole seconds of the forge: more is passed over in silence. */
const command = async (number: number, by: string, body: string) => {
  const waitMs = (askedAtMs.get(by) ?? 0) + 6000 - Date.now();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
  askedAtMs.set(by, Date.now());
  return town.control.comment({ repository, number, body, by });
};

const reactionsTo = async (number: number, id: number): Promise<string[]> => {
  const comments = await town.control.readComments({ repository, number });
  return (comments.find((comment) => comment.id === id)?.reactions ?? []).map(({ content }) => content);
};

const untilReaction = (number: number, id: number, wanted: string) =>
  until(async () => ((await reactionsTo(number, id)).includes(wanted) ? true : null));

const repliesTo = async (number: number): Promise<string[]> =>
  (await town.control.readComments({ repository, number })).map(({ body }) => body);

it('builds what comes from outside once somebody presses the button', { timeout: 120_000 }, async () => {
  const { control } = town;
  const { number, headSha } = await openFromOutside('outside', { 'alpha.sh': 'echo outside > $out' });
  await town.untilShown(headSha, { EkaCI: 'action_required' });
  const [run] = await control.readChecks({ repository, sha: headSha });
  expect(run?.output.title).toBe('Waiting for approval');
  expect(await town.changeOf(number)).toMatchObject({ state: 'awaiting-approval', approved: false });
  await control.pressAction({ run: run?.id ?? 0, identifier: 'approve', by: 'bob' }).catch(() => {});
  await control.pressAction({ run: run?.id ?? 0, identifier: 'approve', by: 'carol' });
  expect(await town.untilShown(headSha, green)).toEqual(green);
  expect(await town.changeOf(number)).toMatchObject({ conclusion: 'success', approved: true });
  // The next head waits again.
  const next = await control.push({
    ...{ repository: 'bob/pkgs', branch: 'outside', by: 'bob' },
    files: { 'beta.sh': 'echo more > $out' },
  });
  await town.untilShown(next.sha, { EkaCI: 'action_required' });
  const said = await command(number, 'alice', '@eka-ci approve');
  await untilReaction(number, said.id, '+1');
  expect(await town.untilShown(next.sha, green)).toEqual(green);
});

it("takes an approving review, and the forge's own approval of a run", { timeout: 120_000 }, async () => {
  const { control } = town;
  const reviewed = await openFromOutside('reviewed', { 'alpha.sh': 'echo reviewed > $out' });
  await town.untilShown(reviewed.headSha, { EkaCI: 'action_required' });
  await control.review({ repository, number: reviewed.number, state: 'COMMENTED', body: 'hm', by: 'carol' });
  await control.review({ repository, number: reviewed.number, state: 'APPROVED', by: 'carol' });
  await town.untilShown(reviewed.headSha, green);
  const ran = await openFromOutside('ran', { 'alpha.sh': 'echo ran > $out' });
  await town.untilShown(ran.headSha, { EkaCI: 'action_required' });
  const run = await control.startWorkflowRun({ repository, number: ran.number, waitsForApproval: true });
  await control.settle({});
  await control.approveWorkflowRun({ run: run.id, by: 'carol' });
  await town.untilShown(ran.headSha, green);
});

it('refuses a command of whoever has not the right, and says why', { timeout: 60_000 }, async () => {
  const { number, headSha } = await openFromOutside('denied', { 'alpha.sh': 'echo denied > $out' });
  await town.untilShown(headSha, { EkaCI: 'action_required' });
  const said = await command(number, 'bob', 'please\n@eka-ci approve');
  await untilReaction(number, said.id, '-1');
  await until(async () =>
    (await repliesTo(number)).some((body) => body.includes('may write')) ? true : null,
  );
  expect(await town.changeOf(number)).toMatchObject({ state: 'awaiting-approval' });
});

it('stops, and builds again, by comments', { timeout: 120_000 }, async () => {
  const { control } = town;
  const slow = { 'alpha.sh': 'echo slow; /bin/sleep 600; echo > $out' };
  const { sha } = await control.push({
    repository,
    branch: 'stopped',
    files: slow,
    from: 'main',
    by: 'carol',
  });
  const { number } = await control.openPull({ repository, head: 'stopped', by: 'carol' });
  await town.untilShown(sha, { 'EkaCI: packages': 'in_progress' });
  const stop = await command(number, 'carol', '@eka-ci cancel');
  await untilReaction(number, stop.id, '+1');
  await town.untilShown(sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  const red = await control.push({
    ...{ repository, branch: 'stopped', by: 'carol' },
    files: { 'alpha.sh': 'echo broken alpha, stopped; exit 1' },
  });
  await town.untilShown(red.sha, { EkaCI: 'failure', 'EkaCI: packages: alpha': 'failure' });
  const before = (await town.changeOf(number)).updatedAtMs;
  const again = await command(number, 'alice', '@eka-ci rebuild alpha');
  await untilReaction(number, again.id, '+1');
  await until(async () => {
    const { state, updatedAtMs } = await town.changeOf(number);
    return state === 'judged' && updatedAtMs > before ? true : null;
  });
  const helped = await command(number, 'bob', '@EKA-CI help');
  await untilReaction(number, helped.id, '+1');
  await until(async () =>
    (await repliesTo(number)).some((body) => body.includes('| `rebuild`')) ? true : null,
  );
});
