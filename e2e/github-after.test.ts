// What comes after a pull request was judged: remarks at its lines, webhooks that did not arrive, and repositories that
// move under it.
import { ChangeDetail } from '@eka-ci/protocol/change';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, permissions, red, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let town: GithubTown;

beforeAll(async () => {
  town = await createGithubTown();
  await town.start();
}, 60_000);
afterEach(() => town.expectCalm());
afterAll(() => town.remove());

const propose = async (branch: string, files: Readonly<Record<string, string>>) => {
  const { sha } = await town.control.push({ repository, branch, files, from: 'main', by: 'alice' });
  const { number } = await town.control.openPull({ repository, head: branch, by: 'alice' });
  return { sha, number };
};

const annotationsOf = async (sha: string) => {
  const runs = await town.control.readChecks({ repository, sha });
  return runs
    .flatMap(({ name, annotations }) =>
      annotations.map(({ path, start_line: line }) => `${name} at ${path}:${line}`),
    )
    .toSorted();
};

/** They are sent after the state of their gate. */
const untilAnnotated = async (sha: string, wanted: readonly string[]) => {
  await until(async () => ((await annotationsOf(sha)).length >= wanted.length ? true : null));
  expect(await annotationsOf(sha)).toEqual(wanted);
};

const stated = (script: string) => `
  { shell }:
  shell "alpha" "${script}" // {
    meta.position = let at = builtins.unsafeGetAttrPos "name" { name = 1; }; in "\${at.file}:\${toString at.line}";
  }
`;
const withPositions = (alpha: string, beta: string) => ({
  'default.nix': `let
    shell = name: script: derivation {
      inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
    };
  in { alpha = import ./pkgs/alpha.nix { inherit shell; }; beta = ${beta}; }`,
  'pkgs/alpha.nix': stated(alpha),
});

it('points at the line that a package that fails says it is at', { timeout: 120_000 }, async () => {
  const { sha } = await propose('points', withPositions('exit 1', 'throw "no beta"'));
  await town.untilShown(sha, { ...red, 'EkaCI: packages: beta': 'failure' });
  await untilAnnotated(sha, [
    'EkaCI: packages: alpha at pkgs/alpha.nix:4',
    'EkaCI: packages: beta at default.nix:5',
  ]);
});

it('points at what cannot be evaluated at all, or read', { timeout: 120_000 }, async () => {
  const broken = await propose('broken', { 'default.nix': '{\n  alpha = ;\n}\n' });
  const config = await propose('config', { '.eka-ci/config.json': '{\n  "jobs": \n}\n' });
  await town.untilShown(broken.sha, { 'EkaCI: packages': 'failure' });
  await untilAnnotated(broken.sha, ['EkaCI: packages at default.nix:2']);
  await town.untilShown(config.sha, { EkaCI: 'failure' });
  await untilAnnotated(config.sha, ['EkaCI at .eka-ci/config.json:3']);
});

it('is told once more what did not arrive, and does it once', { timeout: 120_000 }, async () => {
  const { control, app } = town;
  const { sha, number } = await propose('pressed', { 'beta.sh': 'echo broken; exit 1' });
  await town.untilShown(sha, { EkaCI: 'failure', 'EkaCI: packages: beta': 'failure' });
  const judgedAtMs = (await town.changeOf(number)).updatedAtMs;
  const run = (await control.readChecks({ repository, sha })).find(({ name }) => name === 'EkaCI');
  await control.setWebhookMode({ mode: 'drop' });
  await control.rerequestRun({ run: run?.id ?? 0, by: 'alice' });
  await control.settle({});
  await control.setWebhookMode({ mode: 'deliver' });
  const looks = async () =>
    (await control.readRequests({})).filter(({ path }) => path.startsWith('/app/hook/deliveries')).length;
  for (let time = 0; time < 2; time++) {
    const before = await looks();
    await control.acceptPermissions({ installation: app.installation, permissions, by: 'alice' });
    await until(async () => ((await looks()) > before ? true : null));
  }
  await until(async () => {
    const { state, updatedAtMs } = await town.changeOf(number);
    return state === 'judged' && updatedAtMs > judgedAtMs ? true : null;
  });
  const tries = (await control.readDeliveries({})).filter(({ action }) => action === 'rerequested');
  expect(tries.map(({ redelivery }) => redelivery)).toEqual([false, true]);
});

// The last one: the others know it by its first name.
it('goes on under the new name of a repository, whoever tells of it', { timeout: 120_000 }, async () => {
  const { control, app } = town;
  const { sha, number } = await propose('moves', { 'beta.sh': 'echo beta of one that moves > $out' });
  await town.untilShown(sha, green);
  const ids = async () =>
    ((await town.server()?.changes()) ?? []).map(({ id, repository: name }) => [id, name.split('/').at(-1)]);
  const before = await ids();
  const follow = async (name: string) => {
    await until(async () => ((await ids()).every(([, one]) => one === name) ? true : null));
    expect((await ids()).map(([id]) => id)).toEqual(before.map(([id]) => id));
    // The pages under all names lead to the one change.
    for (const known of ['pkgs', 'PKGS', name]) {
      const page = await town.server()?.get(`/v1/prs/github/octo/${known}/${number}`);
      const { state, repository: kept } = ChangeDetail.parse(page);
      expect([state, kept.split('/').at(-1)]).toEqual(['judged', name]);
    }
  };
  await control.renameRepository({ repository, name: 'packages', by: 'alice' });
  await follow('packages');
  await control.setWebhookMode({ mode: 'lose' });
  await control.renameRepository({ repository: 'octo/packages', name: 'set', by: 'alice' });
  await control.settle({});
  await control.setWebhookMode({ mode: 'deliver' });
  await control.acceptPermissions({ installation: app.installation, permissions, by: 'alice' });
  await follow('set');
  const moved = await control.push({
    ...{ repository: 'octo/set', branch: 'moves', by: 'alice' },
    files: { 'beta.sh': 'echo beta of one that has moved > $out' },
  });
  await until(async () => {
    const runs = await control.readChecks({ repository: 'octo/set', sha: moved.sha });
    return runs.find(({ name }) => name === 'EkaCI')?.conclusion === 'success' ? true : null;
  });
  // What was judged before was shown once, and is shown still.
  const shown = await control.readChecks({ repository: 'octo/set', sha });
  expect(shown.map(({ name }) => name).toSorted()).toEqual(Object.keys(green).toSorted());
});
