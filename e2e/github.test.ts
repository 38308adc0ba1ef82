// Pull requests through the whole server: real git over HTTP, real Nix, and a GitHub that is not.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, red, repository } from './testing/github.ts';
import { until, webhookSecret } from './testing/server.ts';

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown();
});
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

it('judges a pull request: red, fixed, green', { timeout: 120_000 }, async () => {
  await town.start();
  const { control } = town;
  const push = (text: string, from: string | null = null) =>
    control.push({ repository, branch: 'topic', files: { 'alpha.sh': text }, from, by: 'alice' });
  await push('echo broken; exit 1', 'main');
  const pull = await control.openPull({ repository, head: 'topic', title: 'New alpha', by: 'alice' });
  expect(await town.untilShown(pull.headSha, red)).toEqual(red);
  const runs = await control.readChecks({ repository, sha: pull.headSha });
  const summary = runs.find(({ name }) => name === 'EkaCI change summary');
  expect(summary?.output.summary).toContain('alpha');
  const fixed = await push('echo new alpha > $out');
  expect(await town.untilShown(fixed.sha, green)).toEqual(green);
  expect(await town.changeOf(pull.number)).toMatchObject({
    state: 'judged',
    conclusion: 'success',
    headSha: fixed.sha,
  });
});

it('judges again at the press of a button', { timeout: 120_000 }, async () => {
  const { control } = town;
  const { sha } = await control.push({
    ...{ repository, branch: 'once-more', from: 'main', by: 'alice' },
    files: { 'beta.sh': 'echo broken beta; exit 1' },
  });
  const { number } = await control.openPull({ repository, head: 'once-more', by: 'alice' });
  await town.untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: beta': 'failure' });
  const judgedAtMs = (await town.changeOf(number)).updatedAtMs;
  const run = (await control.readChecks({ repository, sha })).find(({ name }) => name === 'EkaCI');
  await control.rerequestRun({ run: run?.id ?? 0, by: 'alice' });
  await until(async () => {
    const { state, updatedAtMs } = await town.changeOf(number);
    return state === 'judged' && updatedAtMs > judgedAtMs ? true : null;
  });
  await town.untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: beta': 'failure' });
});

it('finds what webhooks did not tell, from forks too, when it starts', { timeout: 120_000 }, async () => {
  await town.server()?.stop();
  const { control } = town;
  await control.setWebhookMode({ mode: 'lose' });
  const { sha } = await control.push({
    ...{ repository: 'bob/pkgs', branch: 'main', by: 'bob' },
    files: { 'beta.sh': 'echo beta by bob > $out' },
  });
  const pull = await control.openPull({ repository, head: 'main', from: 'bob/pkgs', by: 'bob' });
  await town.start();
  await town.untilShown(sha, green);
  expect(await town.changeOf(pull.number)).toMatchObject({
    branch: `pull/${pull.number}`,
    conclusion: 'success',
  });
});

it('shows each gate once, however GitHub fails meanwhile', { timeout: 120_000 }, async () => {
  const { control } = town;
  for (const [status, takesEffect] of [
    [502, false],
    [503, true],
  ] as const) {
    await control.addFault({
      ...{ method: 'POST', path: '/check-runs$', times: 2, takesEffect },
      fault: { kind: 'status', status },
    });
  }
  await control.setWebhookMode({ mode: 'double' });
  const { sha } = await control.push({
    ...{ repository, branch: 'flaky-forge', from: 'main', by: 'alice' },
    files: { 'beta.sh': 'echo beta, once more > $out' },
  });
  await control.openPull({ repository, head: 'flaky-forge', by: 'alice' });
  expect(await town.untilShown(sha, green)).toEqual(green);
});

it('ends what was closed, and what a forced push replaced', { timeout: 120_000 }, async () => {
  const { control } = town;
  const slow = { 'alpha.sh': 'echo slow; /bin/sleep 600; echo > $out' };
  const first = await control.push({ repository, branch: 'slow', files: slow, from: 'main', by: 'alice' });
  const pull = await control.openPull({ repository, head: 'slow', by: 'alice' });
  await town.untilShown(first.sha, { 'EkaCI: packages': 'in_progress' });
  const second = await control.push({
    ...{ repository, branch: 'slow', from: 'main', by: 'alice' },
    files: { 'alpha.sh': 'echo slower; /bin/sleep 600; echo > $out' },
  });
  await town.untilShown(first.sha, { EkaCI: 'cancelled' });
  await town.untilShown(second.sha, { 'EkaCI: packages': 'in_progress' });
  await control.closePull({ repository, number: pull.number, by: 'alice' });
  await town.untilShown(second.sha, { EkaCI: 'cancelled', 'EkaCI: packages': 'cancelled' });
  expect(await town.changeOf(pull.number)).toMatchObject({ state: 'closed' });
});

it('tells nobody the secrets that it was given', async () => {
  const said = town.server()?.log() ?? '';
  const key = town.app.privateKey.split('\n')[1] ?? '';
  expect(key.length).toBeGreaterThan(20);
  expect(said).not.toContain(key);
  expect(said).not.toContain(webhookSecret);
  expect(said).not.toMatch(/ghs_[A-Za-z0-9]/);
});
