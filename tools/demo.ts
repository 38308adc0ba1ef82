// `npm run demo`: makes a small package set in a private store, judges its four branches, and says whether each
// verdict is the planted one. With `--once` it ends then; without, a server goes on judging them until Ctrl-C.
import { printableLines } from '@eka-ci/cli/progress/progress-view';
import { type ReviewRequest, runReview } from '@eka-ci/cli/review/run-review';
import { progressOnStderr } from '@eka-ci/cli/review/show-review';
import { summaryText } from '@eka-ci/cli/summary-text';
import type { Change } from '@eka-ci/protocol/change';
import { createWorkFolder } from '@eka-ci/server/lib/work-folder';
import { compareVerdict } from './demo/compare-verdict.ts';
import { createDemoTown, type DemoTown } from './demo/github-town.ts';
import { createDemoStore } from './demo/private-store.ts';
import { createDemoRepository, type DemoBranch, type DemoRepository } from './demo/repository.ts';
import {
  askForApproval,
  type DemoService,
  findFreePort,
  githubTables,
  gitTable,
  startDemoService,
} from './demo/service.ts';

const help = `npm run demo [-- --once]

Makes a package set of about 40 derivations with four branches, and judges each branch with real git and real Nix
in a store of its own. Then a server watches the repository, and a pull request on a GitHub that is none, until Ctrl-C.
Nothing is left behind.

  --once   end after the four verdicts: status 0 when all are the expected ones, 1 when not
  --help   this text
`;

const requestFor = (path: string, branch: string): ReviewRequest => ({
  review: {
    source: { kind: 'local', path },
    base: { kind: 'revision', revision: 'main' },
    head: branch,
    merge: true,
    jobs: [],
    file: null,
    build: true,
    sandbox: 'preferred',
  },
  server: {
    keepLogs: null,
    limits: {
      workers: 2,
      maxMemoryMib: 1024,
      evaluationTimeoutMs: 120_000,
      maxJobs: 2,
      silenceTimeoutMs: 60_000,
      maxDurationMs: 120_000,
      maxRebuilds: null,
    },
  },
});

const never = new AbortController().signal;

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** True when the verdict is the expected one. */
const judgeBranch = async (path: string, branch: DemoBranch, signal: AbortSignal): Promise<boolean> => {
  say(
    `\n── ${branch.name}: ${branch.title} ${'─'.repeat(Math.max(3, 70 - branch.name.length - branch.title.length))}`,
  );
  const outcome = await runReview(requestFor(path, branch.name), progressOnStderr(), {
    cancel: signal,
    kill: never,
  });
  if (outcome.kind !== 'judged') {
    if (outcome.kind === 'fault') say(`no verdict: ${printableLines(outcome.message)}`);
    return false;
  }
  const colours = process.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === '';
  say(`\n${summaryText(outcome.summary, { colours, columns: process.stdout.columns ?? 100 })}`);
  const differences = compareVerdict(outcome.summary, branch.expected);
  for (const difference of differences) say(`not as planted: ${difference}`);
  if (differences.length === 0) say('This is the verdict that was planted.');
  return differences.length === 0;
};

const verdictOf = ({ state, conclusion }: Change): string =>
  state === 'judged' ? (conclusion ?? '') : state;

const serveUntilCancelled = async (
  folder: string,
  repository: DemoRepository,
  signal: AbortSignal,
): Promise<void> => {
  say('\nNow a server watches the same repository, and a copy of it on a GitHub that is none.');
  const port = await findFreePort();
  const town = await createDemoTown(repository, `http://127.0.0.1:${port}`);
  try {
    await serveTown({ folder, port, repository, town }, signal);
  } finally {
    await town.github.stop();
  }
};

interface Served {
  readonly folder: string;
  readonly port: number;
  readonly repository: DemoRepository;
  readonly town: DemoTown;
}

const serveTown = async ({ folder, port, repository, town }: Served, signal: AbortSignal): Promise<void> => {
  const serves = `${gitTable(repository.path)}${githubTables(town.github.apiUrl)}`;
  const service = await startDemoService({ folder, port, settings: askForApproval, serves }, town.env);
  const onAbort = (): void => void service.stop();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    // The branches, and the pull request.
    const judged = service.judged(repository.branches.length + 1);
    const changes = await Promise.race([judged, service.ended.then(() => [])]);
    const byNumber = changes.toSorted((a, b) => a.kind.localeCompare(b.kind) || a.number - b.number);
    for (const change of byNumber) {
      if (change.kind === 'branch')
        say(`  #${change.number} ${change.branch.padEnd(22)} ${verdictOf(change)}`);
      else say(`  ${town.pullPage} ${verdictOf(change)}`);
    }
    if (!signal.aborted) sayWhatToTry(service, repository, town);
    await service.ended;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await service.stop();
  }
};

const sayWhatToTry = (
  { address, socket }: DemoService,
  { path }: DemoRepository,
  { page }: DemoTown,
): void => {
  say(`\nIt stays up at ${address} until you press Ctrl-C. From another terminal:\n`);
  say(`  curl -s ${address}/v1/prs`);
  say(`  curl -s ${address}/v1/prs/git/demo/package-set/1`);
  say(`  curl -s ${address}/v1/openapi.json`);
  say(`  EKA_CI_SOCKET=${socket} npm run --silent ekaci -- changes`);
  say(
    `\nIn a browser, to see checks, comment, merge, or open a pull request of another branch:\n\n  ${page}`,
  );
  say('\nChange a branch, and it is judged again within seconds:\n');
  say(`  git -C ${path} checkout bump-libpng`);
  say(`  git -C ${path} commit --allow-empty --message 'try again'\n`);
};

const demo = async (once: boolean, signal: AbortSignal): Promise<number> => {
  const folder = await createWorkFolder('ekaci-demo-');
  try {
    Object.assign(process.env, await createDemoStore(folder.path));
    const repository = await createDemoRepository(folder.path);
    say(`A package set with four branches is in ${repository.path}; its Nix store is beside it.`);
    let expected = 0;
    for (const branch of repository.branches) {
      if (await judgeBranch(repository.path, branch, signal)) expected += 1;
      if (signal.aborted) return 130;
    }
    say(`\n${expected} of ${repository.branches.length} verdicts are the planted ones.`);
    if (!once && expected === repository.branches.length)
      await serveUntilCancelled(folder.path, repository, signal);
    return expected === repository.branches.length ? 0 : 1;
  } finally {
    await folder.remove();
  }
};

const args = process.argv.slice(2);
const unknown = args.find((arg) => !['--once', '--help'].includes(arg));
if (unknown !== undefined) {
  process.stderr.write(`npm run demo: unknown argument ${unknown}\n\n${help}`);
  process.exitCode = 2;
} else if (args.includes('--help')) {
  process.stdout.write(help);
} else {
  const cancel = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => cancel.abort());
  process.exitCode = await demo(args.includes('--once'), cancel.signal);
}
