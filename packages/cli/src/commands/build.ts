// `ekaci build`: orders the build of one derivation and follows it to its end.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrderedBuild } from '@eka-ci/protocol/build-request';
import { Derivation, DerivationWhy } from '@eka-ci/protocol/derivation';
import type { Command } from 'commander';
import { jsonText } from '../answer-text.ts';
import { derivationName } from '../arguments.ts';
import type { Client } from '../client/client.ts';
import { ClientError } from '../client/client-error.ts';
import { logLines, withoutColours } from '../log-lines.ts';
import { printable } from '../progress/progress-view.ts';
import { type ServerCommandOptions, serverCommand, withServer } from '../server-command.ts';

interface BuildOptions extends ServerCommandOptions {
  readonly force?: true;
  readonly rebuildAll?: true;
  readonly detach?: true;
}

/** From one question to the next: what is quick is known soon, what is slow is not asked about often. */
const firstPollMs = 50;
const longestPollMs = 1000;
const tailLines = 20;

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

const isRefusal = (error: unknown): error is ClientError =>
  error instanceof ClientError && error.code === 'SERVER_REFUSED';

/** Null for what the server does not know. */
const orNull = <Answer>(asked: Promise<Answer>): Promise<Answer | null> =>
  asked.catch((error: unknown) => {
    if (isRefusal(error)) return null;
    throw error;
  });

/** What it waits for goes to standard error, once for each reason. */
const follow = async ({ get }: Client, order: OrderedBuild): Promise<OrderedBuild> => {
  let said = '';
  let pollMs = firstPollMs;
  for (let build = order; ; ) {
    if (build.state === 'done') return build;
    await sleep(pollMs);
    pollMs = Math.min(longestPollMs, pollMs * 2);
    const next = await orNull(get(`/v1/build-orders/${order.id}`, OrderedBuild));
    // Done before the server was started anew.
    if (next === null) return { ...build, state: 'done', ending: null };
    build = next;
    const drv = encodeURIComponent(nameOf(order.drvPath));
    const why =
      build.state === 'waiting'
        ? 'it waits until what is being judged or was ordered before it is done'
        : (await orNull(get(`/v1/drvs/${drv}/why`, DerivationWhy)))?.why;
    if (typeof why !== 'string' || why === said) continue;
    said = why;
    process.stderr.write(`${printable(why)}\n`);
  }
};

/** Also of one whose ending the server has forgotten: its derivation tells. */
const endingOf = async ({ get }: Client, build: OrderedBuild): Promise<OrderedBuild> => {
  if (build.ending !== null) return build;
  const drv = await get(`/v1/drvs/${encodeURIComponent(nameOf(build.drvPath))}`, Derivation);
  const last = drv.attempts.at(-1);
  switch (last?.state) {
    case 'succeeded':
    case 'failed':
    case 'dependency-failed':
    case 'interrupted':
    case 'unsatisfiable': {
      const { state: outcome, cause, culprit, message } = last;
      return { ...build, ending: { outcome, cause, culprit, message } };
    }
    case 'queued':
    case 'buildable':
    case 'building':
    case undefined: {
      const message = 'the server does not know how it ended: order it again';
      return { ...build, ending: { outcome: 'fault', cause: null, culprit: null, message } };
    }
  }
};

/** Of the newest attempt; empty where there is no log. */
const readTail = async (client: Client, drvPath: string): Promise<readonly string[]> => {
  const tail: string[] = [];
  try {
    for await (const line of logLines(client.stream(`/v1/logs/${encodeURIComponent(nameOf(drvPath))}`))) {
      tail.push(line);
      if (tail.length > tailLines) tail.shift();
    }
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  return tail.map((line) => `  | ${printable(withoutColours(line))}\n`);
};

const endingText = async (client: Client, { drvPath, ending }: OrderedBuild): Promise<string> => {
  const name = printable(nameOf(drvPath));
  if (ending === null || ending.outcome === 'fault') {
    return `${name} could not be tried: ${printable(ending?.message ?? 'no reason is known')}\n`;
  }
  const { outcome, cause, culprit, message } = ending;
  if (outcome === 'succeeded')
    return `${name} ${cause === 'already-valid' ? 'was built already' : 'is built'}.\n`;
  const failed = culprit ?? drvPath;
  const tail = await readTail(client, failed);
  const of = culprit === null || tail.length === 0 ? '' : `  ${printable(nameOf(culprit))}:\n`;
  return `${name}: ${outcome}${message === null ? '' : `: ${printable(message)}`}\n${of}${tail.join('')}`;
};

const statusOf = ({ ending }: OrderedBuild): 0 | 1 | 2 => {
  if (ending === null || ending.outcome === 'fault') return 2;
  return ending.outcome === 'succeeded' ? 0 : 1;
};

const build = (drv: string, options: BuildOptions): Promise<void> =>
  withServer(options, async (client) => {
    const wish = { force: options.force ?? false, rebuildAll: options.rebuildAll ?? false };
    const path = `/v1/drvs/${encodeURIComponent(drv)}/build`;
    const order = await client.post(path, { id: randomUUID(), ...wish }, OrderedBuild);
    if (options.detach) {
      const said = `${printable(order.drvPath)} is ordered: "ekaci drv info ${drv}" tells how it stands.\n`;
      process.stdout.write(options.json ? `${jsonText(order, 2)}\n` : said);
      return;
    }
    const ended = await endingOf(client, await follow(client, order));
    process.stdout.write(options.json ? `${jsonText(ended, 2)}\n` : await endingText(client, ended));
    process.exitCode = statusOf(ended);
  });

export const buildCommand = (): Command =>
  serverCommand('build', {
    summary: 'have the server build one derivation, before any change that waits',
    examples: [
      'ekaci build /nix/store/8nq1…-fetcher-2.0.0.drv',
      'ekaci build 8nq1…-fetcher-2.0.0.drv --force',
      'ekaci build 8nq1…-fetcher-2.0.0.drv --rebuild-all --detach --json',
    ],
    statuses: [
      'it is built, or was already; with --detach: it is ordered',
      'it failed, or the server said no',
    ],
  })
    .argument(
      '<drv>',
      'by its path or the last part of it; it must be in the store of the server',
      derivationName,
    )
    .option('--force', 'try it again although it failed before')
    .option('--rebuild-all', 'also try again whatever it needs that failed before')
    .option('--detach', 'do not wait for its end')
    .addHelpText(
      'after',
      'What succeeded is never built again. The build goes on when ekaci is interrupted, and after the server ' +
        'was\nstopped or has crashed.\n',
    )
    .action(build);
