// Two GitHubs on one server, with a repository of the same name on each: what one tells is never taken for the other's.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import { RepositoryPage } from '@eka-ci/protocol/repository';
import { removeTree } from '@eka-ci/server/lib/work-folder';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { createGithubTown, type GithubTown, green, populate, red, repository } from './testing/github.ts';
import { until } from './testing/server.ts';

let folder: string;
let town: GithubTown;
let second: FakeGitHub;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ekaci-second-'));
  const credentials = join(folder, 'second.json');
  second = await startFakeGitHub();
  town = await createGithubTown({
    tables: [
      ...['[[github_apps]]', 'id = "second"', `api_url = ${JSON.stringify(second.apiUrl)}`],
      `credentials = { file = { path = ${JSON.stringify(credentials)} } }`,
    ],
  });
  const { id, privateKey } = await populate(second, town.port);
  const values = { GITHUB_APP_ID: String(id), GITHUB_APP_PRIVATE_KEY: privateKey };
  await writeFile(credentials, JSON.stringify(values), { mode: 0o600 });
  await town.start();
}, 60_000);
afterEach(async () => {
  await town.expectCalm();
  expect(await second.control.readViolations({})).toEqual([]);
});
afterAll(async () => {
  await town.remove();
  await second.stop();
  await removeTree(folder);
});

const hosts = () => [town.github, second].map(({ url }) => new URL(url).host);

const propose = async ({ control }: FakeGitHub, alpha: string) => {
  const { sha } = await control.push({
    ...{ repository, branch: 'topic', from: 'main', by: 'alice' },
    files: { 'alpha.sh': alpha },
  });
  return { sha, ...(await control.openPull({ repository, head: 'topic', by: 'alice' })) };
};

const shownOn = async ({ control }: FakeGitHub, sha: string): Promise<Record<string, string>> => {
  const runs = await control.readChecks({ repository, sha });
  return Object.fromEntries(runs.map(({ name, status, conclusion }) => [name, conclusion ?? status]));
};

const untilShown = (github: FakeGitHub, sha: string, wanted: Readonly<Record<string, string>>) =>
  until(async () => {
    const shown = await shownOn(github, sha);
    return Object.entries(wanted).every(([name, state]) => shown[name] === state) ? true : null;
  });

it('judges what each of them has, and shows it there', { timeout: 120_000 }, async () => {
  const [one, other] = [
    await propose(town.github, 'echo broken; exit 1'),
    await propose(second, 'echo well > $out'),
  ];
  expect(one.number).toBe(other.number);
  await untilShown(town.github, one.sha, red);
  await untilShown(second, other.sha, green);
  const changes = (await town.server()?.changes()) ?? [];
  const [firstHost, secondHost] = hosts();
  const kept = changes.map(({ repository: name, conclusion, headSha }) => [name, conclusion, headSha]);
  expect(kept).toHaveLength(2);
  expect(kept).toContainEqual([`${firstHost}/${repository}`, 'failure', one.sha]);
  expect(kept).toContainEqual([`${secondHost}/${repository}`, 'success', other.sha]);
  // The first is known by the kind of both, the second by its own name; so its gates lead to its own page.
  const { repositories } = RepositoryPage.parse(await town.server()?.get('/v1/repositories'));
  expect(repositories.map(({ forge }) => forge)).toEqual(['github', secondHost]);
  const [run] = await second.control.readChecks({ repository, sha: other.sha });
  const page = `/v1/prs/${secondHost}/${repository}/${other.number}`;
  expect(run?.detailsUrl?.endsWith(page)).toBe(true);
  expect(await town.server()?.get(page)).toMatchObject({ headSha: other.sha });
  expect(await town.server()?.get(`/v1/repositories/${secondHost}/${repository}`)).toMatchObject({
    forge: secondHost,
  });
});

it('answers where it was asked', { timeout: 120_000 }, async () => {
  const talk = { repository, number: 1 };
  await second.control.comment({ ...talk, body: '@eka-ci help', by: 'alice' });
  await until(async () => ((await second.control.readComments(talk)).length === 2 ? true : null));
  expect(await town.control.readComments(talk)).toEqual([]);
  await second.control.closePull({ ...talk, by: 'alice' });
  const stateOn = async (host = '') => {
    const page = await town.server()?.get(`/v1/prs/${host}/${repository}/1`);
    return (page as { readonly state: string }).state;
  };
  await until(async () => ((await stateOn(hosts()[1])) === 'closed' ? true : null));
  expect(await stateOn(hosts()[0])).toBe('judged');
});
