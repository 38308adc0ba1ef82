// The demo's package set on a GitHub that is none, with its people, a pull request, and EkaCI's app.
import { randomBytes } from 'node:crypto';
import { type FakeGitHub, startFakeGitHub } from '@eka-ci/fakes/github';
import type { DemoRepository } from './repository.ts';

export interface DemoTown {
  readonly github: FakeGitHub;
  /** The page of the repository. */
  readonly page: string;
  /** Of the pull request that is there. */
  readonly pullPage: string;
  /** For git, as ada: it holds a token of the fake. */
  readonly cloneUrl: string;
  /** Of branches that could become pull requests, too. */
  readonly otherBranches: number;
  /** What the server is told by its environment. */
  readonly env: Readonly<Record<string, string>>;
}

const name = 'demo/package-set';
const fork = 'bo/package-set';

const [read, write] = ['read', 'write'] as const;
const permissions = {
  ...{ checks: write, contents: write, pull_requests: write, issues: write, workflows: write },
  ...{ actions: read, merge_queues: read, members: read, metadata: read },
};
const events = [
  ...['check_run', 'check_suite', 'issue_comment', 'merge_group', 'pull_request', 'pull_request_review'],
  ...['push', 'repository', 'workflow_run'],
];

const createApp = async ({ control }: FakeGitHub, hookUrl: string): Promise<DemoTown['env']> => {
  const hookSecret = randomBytes(32).toString('hex');
  const made = { slug: 'eka-ci', owner: 'demo', permissions, events, hookUrl, hookSecret };
  const { id, privateKey } = await control.createApp(made);
  await control.install({ app: id, account: 'demo' });
  return { GITHUB_APP_ID: String(id), GITHUB_APP_PRIVATE_KEY: privateKey, WEBHOOK_SECRET: hookSecret };
};

/**
 * A copy of the repository, to which ada may write and of which bo has a fork.
 * @param serverUrl where EkaCI is going to listen
 */
export const createDemoTown = async (
  { path, branches }: DemoRepository,
  serverUrl: string,
): Promise<DemoTown> => {
  const github = await startFakeGitHub();
  const { control, url } = github;
  const { token } = await control.createUser({ login: 'ada' });
  await control.createUser({ login: 'bo' });
  await control.createOrganization({ login: 'demo', members: { ada: 'admin' } });
  await control.createRepository({ owner: 'demo', name: 'package-set', copyOf: path });
  await control.fork({ repository: name, owner: 'bo' });
  const env = await createApp(github, `${serverUrl}/github/webhook`);
  await control.push({
    ...{ repository: fork, branch: 'notes', from: 'main', by: 'bo', message: 'Notes for newcomers' },
    files: { 'NOTES.md': 'Written by somebody from outside.\n' },
  });
  // What `@eka-ci merge` asks for goes through the queue, which has its groups judged before it merges them.
  const requiredChecks = [{ context: 'EkaCI' }];
  await control.protect({ repository: name, branch: 'main', mergeQueue: true, requiredChecks });
  const [first] = branches;
  if (first === undefined) throw new Error('the demo has no branch');
  const opened = { repository: name, head: first.name, title: first.title, by: 'ada' };
  const { number } = await control.openPull(opened);
  return {
    ...{ github, env, page: `${url}/${name}`, pullPage: `${url}/${name}/pull/${number}` },
    cloneUrl: `${url.replace('://', `://ada:${token}@`)}/${name}.git`,
    otherBranches: branches.length,
  };
};
