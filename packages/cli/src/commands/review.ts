// `ekaci review`: judges one change of a local repository, with the Nix at hand and no server to set up.
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { ReviewRequest } from '@eka-ci/protocol/review';
import { Command } from 'commander';
import { collect, wholeNumber } from '../arguments.ts';
import { createLineView } from '../progress/line-view.ts';
import { createLiveView } from '../progress/live-view.ts';
import { type ProgressView, printableLines } from '../progress/progress-view.ts';
import { type ReviewOutcome, runReview } from '../review.ts';
import { summaryText } from '../summary-text.ts';
import { columnsOf, useColours } from '../terminal.ts';

interface ReviewOptions {
  readonly base?: string;
  readonly head: string;
  readonly merge: boolean;
  readonly build: boolean;
  readonly sandbox: boolean;
  readonly job: readonly string[];
  readonly markdown?: true;
  readonly json?: true;
  readonly keepLogs?: string;
  readonly quiet?: true;
  readonly workers: number;
  readonly maxMemory: number;
  readonly maxJobs: number;
  readonly evaluationTimeout: number;
  readonly silenceTimeout: number;
  readonly maxDuration: number;
}

const examples = `
Examples:
  ekaci review                              the checked-out branch, merged into the default branch
  ekaci review --base main --head my-branch
  ekaci review ~/nixpkgs --head HEAD~3 --no-build --markdown > summary.md
  ekaci review --job packages --keep-logs ./logs

Exit status:
  0    nothing newly fails
  1    something newly fails
  2    no verdict: wrong usage, no repository, a merge conflict, no Nix, an evaluation that died,
       nothing that could be built
  130  cancelled
`;

const exitStatus = (outcome: ReviewOutcome): number => {
  switch (outcome.kind) {
    case 'judged':
      return outcome.exitStatus;
    case 'fault':
      return 2;
    case 'cancelled':
      return 130;
  }
};

const toRequest = (path: string, options: ReviewOptions): ReviewRequest => ({
  path: resolve(path),
  base: options.base ?? null,
  head: options.head,
  merge: options.merge,
  jobs: [...options.job],
  build: options.build,
  sandbox: options.sandbox ? 'required' : 'preferred',
  keepLogs: options.keepLogs === undefined ? null : resolve(options.keepLogs),
  limits: {
    workers: options.workers,
    maxMemoryMib: options.maxMemory,
    evaluationTimeoutMs: options.evaluationTimeout * 1000,
    maxJobs: options.maxJobs,
    silenceTimeoutMs: options.silenceTimeout * 1000,
    maxDurationMs: options.maxDuration * 1000,
  },
});

/** The longest that a timer can wait. */
const maxSeconds = 2_147_483;

const silentView: ProgressView = { show: () => {}, end: () => {} };

/** Progress goes to standard error, so that standard output holds the summary alone. */
export const progressOnStderr = (): ProgressView => {
  const { stderr } = process;
  if (!stderr.isTTY || process.env['TERM'] === 'dumb')
    return createLineView((text) => void stderr.write(text));
  const terminal = {
    get columns() {
      return stderr.columns;
    },
    get rows() {
      return stderr.rows;
    },
    write: (text: string) => void stderr.write(text),
  };
  return createLiveView(terminal, Date.now);
};

const summaryOf = (outcome: Extract<ReviewOutcome, { kind: 'judged' }>, options: ReviewOptions): string => {
  if (options.json) return `${JSON.stringify(outcome.summary, null, 2)}\n`;
  if (options.markdown) return outcome.markdown.endsWith('\n') ? outcome.markdown : `${outcome.markdown}\n`;
  return summaryText(outcome.summary, { colours: useColours(), columns: columnsOf() });
};

const review = async (path: string, options: ReviewOptions): Promise<void> => {
  const cancel = new AbortController();
  const kill = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Asked once, it ends in good order; asked again, at once.
    process.on(name, () => (cancel.signal.aborted ? kill.abort() : cancel.abort()));
  }
  const view = options.quiet ? silentView : progressOnStderr();
  const outcome = await runReview(toRequest(path, options), view, {
    cancel: cancel.signal,
    kill: kill.signal,
  });
  if (outcome.kind === 'judged') {
    process.stdout.write(summaryOf(outcome, options));
    if (outcome.logsDir !== null) process.stderr.write(`Build logs are kept in ${outcome.logsDir}\n`);
  } else {
    const said =
      outcome.kind === 'cancelled' ? 'cancelled' : `ekaci review: ${printableLines(outcome.message)}`;
    process.stderr.write(`${said}\n`);
  }
  process.exitCode = exitStatus(outcome);
};

export const reviewCommand = (): Command => {
  const cores = availableParallelism();
  const positive = wholeNumber(1);
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
    .option('--workers <n>', 'evaluation processes', positive, cores)
    .option('--max-memory <mib>', 'memory of one evaluation process', wholeNumber(64), 4096)
    .option('--evaluation-timeout <seconds>', 'time for one evaluation', seconds, 3600)
    .option('--max-jobs <n>', 'builds at the same time', positive, cores)
    .option('--silence-timeout <seconds>', 'a build silent for this long is hung', seconds, 1200)
    .option('--max-duration <seconds>', 'time for one build', seconds, 14400)
    .addHelpText('after', examples)
    .action(review);
};
