// Checks of pull requests: gates of their own, a verdict that hangs on them, and a server that is killed meanwhile.
import { runChild } from '@eka-ci/process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

const metricsToken = 'read-the-metrics';

let town: GithubTown;
beforeAll(async () => {
  const env = { EKA_CI_WEB__METRICS_TOKEN: metricsToken, EKA_CI_SANDBOX__MAX_TIMEOUT_SECONDS: '3600' };
  town = await createGithubTown({ env });
});
afterAll(() => town.remove());

const config = JSON.stringify({
  jobs: { packages: { file: 'default.nix' } },
  checks: {
    format: { command: 'sh format.sh' },
    lint: { command: 'test -e default.nix', timeout_seconds: 7200 },
  },
});
/** In no other command line. */
const seconds = 61_987;
const isSleeping = async (): Promise<boolean> => {
  const args = ['-f', `^sleep ${seconds}`];
  const found = await runChild({ command: 'pgrep', args, env: { PATH: process.env['PATH'] ?? '' } });
  return found.code === 0;
};

it('shows a gate a check, takes up again what a kill cut short, and is green when all pass', {
  timeout: 120_000,
}, async () => {
  const server = await town.start();
  const { control } = town;
  const push = (text: string, from: string | null = null) =>
    control.push({
      ...{ repository, branch: 'topic', from, by: 'alice' },
      files: { '.eka-ci/config.json': config, 'format.sh': text },
    });
  await push(`echo begun; sleep ${seconds}`, 'main');
  const { number, headSha } = await control.openPull({ repository, head: 'topic', by: 'alice' });
  await town.untilShown(headSha, { 'EkaCI check: format': 'in_progress', 'EkaCI check: lint': 'success' });
  await until(async () => ((await isSleeping()) ? true : null));
  await server.kill();
  await until(async () => ((await isSleeping()) ? null : true));
  const again = await town.start();
  await until(async () => ((await isSleeping()) ? true : null));

  const ill = await push('echo "this is ill"; exit 3');
  const red = { EkaCI: 'failure', 'EkaCI: packages': 'success', 'EkaCI change summary': 'neutral' };
  const shown = await town.untilShown(ill.sha, { ...red, 'EkaCI check: format': 'failure' });
  expect(shown).toEqual({ ...red, 'EkaCI check: format': 'failure', 'EkaCI check: lint': 'success' });
  await until(async () => ((await isSleeping()) ? null : true));
  expect(await town.checksOf(headSha)).toMatchObject({ 'EkaCI check: format': 'cancelled' });
  const runs = await control.readChecks({ repository, sha: ill.sha });
  const gate = runs.find(({ name }) => name === 'EkaCI check: format');
  expect(gate?.output.title).toMatch(/^Failed after /);
  expect(gate?.output.summary).toMatch(/it ended with status 3[^]*this is ill/);
  const { summary } = await town.changeOf(number);
  expect(summary?.notices.map(({ message }) => message)).toContainEqual(
    expect.stringMatching(
      /may take longer than 3600 s \(sandbox\.max_timeout_seconds\).*: lint \(7200 s\)\.$/,
    ),
  );
  const id = summary?.checks.find(({ name }) => name === 'format')?.id;
  expect(await again.get(`/v1/checks/${id}`)).toMatchObject({ name: 'format', state: 'failed', status: 3 });
  const log = await fetch(`http://127.0.0.1:${town.port}/v1/checks/${id}/log?format=text`);
  expect(await log.text()).toBe('this is ill\n');

  const before = (await town.changeOf(number)).updatedAtMs;
  await control.rerequestRun({ run: gate?.id ?? 0, by: 'alice' });
  await until(async () => {
    const { state, updatedAtMs, summary: now } = await town.changeOf(number);
    const format = now?.checks.find(({ name }) => name === 'format');
    return state === 'judged' && updatedAtMs > before && format?.id !== id ? format : null;
  }).then((format) => expect(format?.kept).toBe(false));

  const well = await push('true');
  const checks = { 'EkaCI check: format': 'success', 'EkaCI check: lint': 'success' };
  expect(await town.untilShown(well.sha, { ...green, ...checks })).toEqual({ ...green, ...checks });
  const headers = { authorization: `Bearer ${metricsToken}` };
  const metrics = await (await fetch(`http://127.0.0.1:${town.port}/metrics`, { headers })).text();
  expect(metrics).toMatch(/^eka_ci_checks_total\{outcome="failed"\} [1-9]/m);
  expect(metrics).toMatch(/^eka_ci_checks_total\{outcome="passed"\} [1-9]/m);
  await town.expectCalm();
});
