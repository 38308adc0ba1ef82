// `ekaci review`: judges one change of a local repository, with the Nix at hand and no server to set up.
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { collect, wholeNumber } from '../arguments.ts';
import { exitStatuses, exitStatusOf } from '../review/review-outcome.ts';
import { type ReviewRequest, runReview } from '../review/run-review.ts';
import { printOutcome, progressView, type ShowOptions } from '../review/show-review.ts';

interface ReviewOptions extends ShowOptions {
  readonly base?: string;
  readonly head: string;
  readonly merge: boolean;
  readonly build: boolean;
  readonly sandbox: boolean;
  readonly job: readonly string[];
  readonly keepLogs?: string;
  readonly workers: number;
  readonly maxMemory: number;
  readonly maxJobs: number;
  readonly evaluationTimeout: number;
  readonly silenceTimeout: number;
  readonly maxDuration: number;
  readonly maxRebuilds?: number;
}

const examples = `
Examples:
  ekaci review                              the checked-out branch, merged into the default branch
  ekaci review --base main --head my-branch
  ekaci review ~/nixpkgs --head HEAD~3 --no-build --markdown > summary.md
  ekaci review --job packages --keep-logs ./logs
`;

const toRequest = (path: string, options: ReviewOptions): ReviewRequest => ({
  review: {
    source: { kind: 'local', path: resolve(path) },
    base: options.base === undefined ? { kind: 'default' } : { kind: 'revision', revision: options.base },
    head: options.head,
    merge: options.merge,
    jobs: [...options.job],
    file: null,
    build: options.build,
    sandbox: options.sandbox ? 'required' : 'preferred',
  },
  server: {
    keepLogs: options.keepLogs === undefined ? null : resolve(options.keepLogs),
    limits: {
      workers: options.workers,
      maxMemoryMib: options.maxMemory,
      evaluationTimeoutMs: options.evaluationTimeout * 1000,
      maxJobs: options.maxJobs,
      silenceTimeoutMs: options.silenceTimeout * 1000,
      maxDurationMs: options.maxDuration * 1000,
      maxRebuilds: options.maxRebuilds ?? null,
    },
  },
});

/** The longest that a timer can wait. */
const maxSeconds = 2_147_483;

const review = async (path: string, options: ReviewOptions): Promise<void> => {
  const cancel = new AbortController();
  const kill = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Asked once, it ends in good order; asked again, at once.
    process.on(name, () => (cancel.signal.aborted ? kill.abort() : cancel.abort()));
  }
  const request = toRequest(path, options);
  const outcome = await runReview(request, progressView(options), {
    cancel: cancel.signal,
    kill: kill.signal,
  });
  printOutcome('ekaci review', outcome, options);
  const { keepLogs } = request.server;
  if (outcome.kind === 'judged' && keepLogs !== null) {
    process.stderr.write(`Build logs are kept in ${keepLogs}\n`);
  }
  process.exitCode = exitStatusOf(outcome);
};

const asManyAsProcessors = (flags: string, description: string): Option =>
  new Option(flags, description)
    .argParser(wholeNumber(1))
    .default(availableParallelism(), 'the number of processors');

export const reviewCommand = (): Command => {
  const seconds = wholeNumber(1, maxSeconds);
  return new Command('review')
    .summary('judge one change of a local repository')
    .description(
      'Evaluates the base and the merge of the head into it, builds what the change rebuilds, and says whether ' +
        'anything newly fails. Uses your own Nix store. The repository is only read.',
    )
    .argument('[path]', 'a folder inside the repository', '.')
    .option('--base <rev>', 'what the change wants to join (default: the default branch)')
    .option('--head <rev>', 'the change', 'HEAD')
    .option('--no-merge', 'judge the head as it is, not its merge into the base')
    .option('--no-build', 'evaluate and compare only')
    .option('--no-sandbox', 'evaluate also where bubblewrap cannot confine it: the code can read your files')
    .option('--job <name>', 'only this job of .eka-ci/config.json; may be repeated', collect, [])
    .option('--markdown', 'print the summary as Markdown')
    .option('--json', 'print the summary as JSON')
    .option('--keep-logs <folder>', 'keep the build logs there')
    .option('-q, --quiet', 'show no progress')
    .addOption(asManyAsProcessors('--workers <n>', 'evaluation processes'))
    .option('--max-memory <mib>', 'memory of one evaluation process', wholeNumber(64), 4096)
    .option('--evaluation-timeout <seconds>', 'time for one evaluation', seconds, 3600)
    .addOption(asManyAsProcessors('--max-jobs <n>', 'builds at the same time'))
    .option('--silence-timeout <seconds>', 'a build silent for this long is hung', seconds, 1200)
    .option('--max-duration <seconds>', 'time for one build', seconds, 14400)
    .option('--max-rebuilds <n>', 'build nothing where more are left to build than that', wholeNumber(0))
    .addHelpText('after', `${examples}${exitStatuses}`)
    .action(review);
};
