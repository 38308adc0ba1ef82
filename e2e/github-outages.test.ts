// What a GitHub does that nobody planned for: it tells nothing, takes away what it gave, and moves what is being built.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ActiveBuilds } from '@eka-ci/protocol/build';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, permissions, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown();
  await town.start();
}, 60_000);
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const slow = (name: string) => ({ 'alpha.sh': `echo ${name}; /bin/sleep 600; echo > $out` });
const quick = (name: string) => ({ 'alpha.sh': `echo ${name} > $out` });

const push = async (branch: string, files: Readonly<Record<string, string>>, from = 'main') =>
  (await town.control.push({ repository, branch, files, from, by: 'alice' })).sha;

/** A branch of its own with a pull request. */
const propose = async (branch: string, files: Readonly<Record<string, string>>) => {
  const sha = await push(branch, files);
  const { number } = await town.control.openPull({ repository, head: branch, by: 'alice' });
  return { sha, number };
};

const building = { 'EkaCI: packages': 'in_progress' };

const untilState = (number: number, state: string) =>
  until(async () => ((await town.changeOf(number)).state === state ? true : null));

const baselines = async (): Promise<Record<string, string>> => {
  const changes = (await town.server()?.changes('&kind=baseline')) ?? [];
  const open = changes.filter(({ state }) => state !== 'closed');
  return Object.fromEntries(open.map(({ branch, headSha }) => [branch, headSha]));
};

it('learns from one look what it was told nothing of', { timeout: 120_000 }, async () => {
  const { control } = town;
  const moved = await propose('moved', slow('first'));
  const closed = await propose('closed', slow('closed'));
  await town.untilShown(moved.sha, building);
  await town.untilShown(closed.sha, building);
  await control.setWebhookMode({ mode: 'lose' });
  const main = await push('main', { 'beta.sh': 'echo beta of a new main > $out' });
  const second = await push('moved', quick('second'));
  await control.closePull({ repository, number: closed.number, by: 'alice' });
  const opened = await propose('opened', quick('opened'));
  await control.settle({});
  await control.setWebhookMode({ mode: 'deliver' });
  // Of no pull request and no branch; all is looked at for it.
  await control.acceptPermissions({ installation: town.app.installation, permissions, by: 'alice' });
  await control.settle({});
  await town.untilShown(second, green);
  await town.untilShown(opened.sha, green);
  await town.untilShown(moved.sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  await town.untilShown(closed.sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  expect(await town.changeOf(closed.number)).toMatchObject({ state: 'closed' });
  expect(await baselines()).toEqual({ main });
});

it.each(['removed', 'suspended'] as const)(
  'ends what it builds where its installation is %s, and begins anew when it is back',
  { timeout: 120_000 },
  async (how) => {
    const { control, app } = town;
    const { sha, number } = await propose(how, slow(how));
    await town.untilShown(sha, building);
    const { installation } = app;
    if (how === 'removed') await control.removeInstallation({ installation, by: 'alice' });
    else await control.suspendInstallation({ installation, suspended: true, by: 'alice' });
    await untilState(number, 'closed');
    await until(async () => ((await isBuilding()) ? null : true));
    expect(await baselines()).toEqual({});
    // Nobody may write there: what was shown last stays.
    expect(await town.checksOf(sha)).toMatchObject(building);
    const wanted = await push(how, quick(`back from being ${how}`));
    if (how === 'removed') {
      const { id } = await control.install({ app: app.id, account: 'octo' });
      Object.assign(app, { installation: id });
    } else await control.suspendInstallation({ installation, suspended: false, by: 'alice' });
    await town.untilShown(wanted, green);
    // What could not be said then is said now: nothing stays pending for ever.
    await town.untilShown(sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
    expect(Object.keys(await baselines())).toEqual(['main']);
  },
);

const isBuilding = async (): Promise<boolean> => {
  const { builds } = ActiveBuilds.parse(await town.server()?.get('/v1/builds/active'));
  return builds.length > 0;
};

it('judges one head against each branch that it is to join', { timeout: 120_000 }, async () => {
  const { control } = town;
  await push('staging', { 'beta.sh': 'echo broken; exit 1' });
  const { sha } = await propose('both', quick('both'));
  await control.openPull({ repository, head: 'both', base: 'staging', by: 'alice' });
  // It is not this head that breaks beta.
  const shown = await town.untilShown(sha, {
    ...green,
    ...Object.fromEntries(Object.entries(green).map(([name, state]) => [`${name} (→ staging)`, state])),
  });
  expect(Object.keys(shown)).toHaveLength(6);
});

it('shows nothing of a head that was gone before it was looked at', { timeout: 120_000 }, async () => {
  const { control } = town;
  await control.setWebhookMode({ mode: 'hold' });
  const { sha: gone } = await propose('replaced', quick('gone'));
  const sha = await push('replaced', quick('not gone'));
  await control.settle({});
  const held = await control.listHeld({});
  await control.releaseHeld({ ids: held.map(({ id }) => id).toReversed() });
  await control.setWebhookMode({ mode: 'deliver' });
  await town.untilShown(sha, green);
  expect(await town.checksOf(gone)).toEqual({});
});

it('ends what wanted to join a branch that is gone', { timeout: 120_000 }, async () => {
  const { control } = town;
  await push('short-lived', {});
  const sha = await push('orphan', slow('orphan'));
  const { number } = await control.openPull({ repository, head: 'orphan', base: 'short-lived', by: 'alice' });
  await town.untilShown(sha, { 'EkaCI: packages (→ short-lived)': 'in_progress' });
  await control.deleteBranch({ repository, branch: 'short-lived', by: 'alice' });
  await town.untilShown(sha, { 'EkaCI (→ short-lived)': 'cancelled' });
  expect(await town.changeOf(number)).toMatchObject({ state: 'closed' });
});

it('builds on where the fork is deleted, and takes no branch of a fork for its own', {
  timeout: 120_000,
}, async () => {
  const { control } = town;
  const { sha } = await control.push({
    ...{ repository: 'bob/pkgs', branch: 'main', by: 'bob' },
    files: { 'alpha.sh': 'echo by bob; /bin/sleep 3; echo by bob > $out' },
  });
  const { number } = await control.openPull({ repository, head: 'main', from: 'bob/pkgs', by: 'bob' });
  await town.untilShown(sha, building);
  await control.deleteRepository({ repository: 'bob/pkgs', by: 'bob' });
  await town.untilShown(sha, green);
  expect(await town.changeOf(number)).toMatchObject({ branch: `pull/${number}`, baseBranch: 'main' });
  expect((await baselines())['main']).not.toBe(sha);
});

it('shows titles and names as text, whatever they hold', { timeout: 120_000 }, async () => {
  const { control, world } = town;
  const title = '\u001b[2J\u001b]0;owned\u0007$(touch pwned) `id` ; rm -rf / \u202e @octo **<img src=x>**';
  const branch = '$(touch${IFS}pwned);`id`&<b>|x__y__';
  const sha = await push(branch, quick('hostile'));
  const { number } = await control.openPull({ repository, head: branch, title, by: 'alice' });
  await town.untilShown(sha, green);
  expect((await town.changeOf(number)).title).toBe(title);
  const runs = await control.readChecks({ repository, sha });
  const shown = runs.flatMap(({ name, output }) => [name, output.title, output.summary]).join('\n');
  const { stdout } = await world.ekaci('changes', '--socket', join(world.folder, 'ekaci.socket'));
  for (const text of [shown, stdout, town.server()?.log() ?? '']) {
    expect(text).not.toMatch(/[\u001b\u0007\u202e]/u);
  }
  expect(shown).not.toMatch(/<img|(?<!`[^`\n]*)@octo/);
  expect(stdout).toContain(`pull/${number}`);
  expect((await readdir(world.folder, { recursive: true })).filter((name) => name.endsWith('pwned'))).toEqual(
    [],
  );
});

it('answers a comment once, however GitHub fails meanwhile', { timeout: 120_000 }, async () => {
  const { control } = town;
  const { number } = await propose('talk', quick('talk'));
  for (const [path, status, takesEffect] of [
    ['/comments$', 502, true],
    ['/comments$', 503, false],
    ['/reactions$', 502, true],
    ['/issues/\\d+/comments$', 500, false],
  ] as const) {
    await control.addFault({
      ...{ method: path.startsWith('/issues') ? 'GET' : 'POST', path, times: 1, takesEffect },
      fault: { kind: 'status', status },
    });
  }
  await control.setWebhookMode({ mode: 'double' });
  await control.comment({ repository, number, body: '@eka-ci help', by: 'alice' });
  const talk = () => control.readComments({ repository, number });
  const untilAnswered = until(async () => {
    const [asked, answer] = await talk();
    return answer !== undefined && (asked?.reactions.length ?? 0) > 0 ? true : null;
  });
  await untilAnswered;
  // What comes after it in the same lane is done, too.
  const sha = await push('talk', quick('talk goes on'));
  await town.untilShown(sha, green);
  const said = await talk();
  expect(said.map(({ author, reactions }) => [author, reactions.length])).toEqual([
    ['alice', 1],
    ['eka-ci[bot]', 0],
  ]);
});
