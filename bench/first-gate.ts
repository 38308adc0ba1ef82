// `first-gate`: from a push to a pull request, on a base that is evaluated, until its forge shows the first gate.
import { setTimeout as sleep } from 'node:timers/promises';
import { createGithubTown, type GithubTown, repository } from '../e2e/testing/github.ts';
import {
  type Benchmark,
  forOrientation,
  type Outcome,
  type RunOptions,
  summarize,
  within,
} from './measure.ts';

const pushesOf = ({ smoke }: RunOptions): number => (smoke ? 3 : 30);

const untilTrue = async (ask: () => Promise<boolean>): Promise<void> => {
  while (!(await ask())) await sleep(2);
};

interface Times {
  readonly firstGateMs: number;
  readonly verdictMs: number;
}

const push = async ({ control, checksOf }: GithubTown, round: number): Promise<Times> => {
  const { sha } = await control.push({
    ...{ repository, branch: 'topic', by: 'alice' },
    files: { 'alpha.sh': `echo round ${round} > $out` },
  });
  const pushedAt = performance.now();
  await untilTrue(async () => Object.keys(await checksOf(sha)).length > 0);
  const firstGateMs = performance.now() - pushedAt;
  // The next one does not meet this one's work.
  await untilTrue(async () => (await checksOf(sha))['EkaCI change summary'] !== undefined);
  return { firstGateMs, verdictMs: performance.now() - pushedAt };
};

const measure = async (options: RunOptions): Promise<Outcome> => {
  const town = await createGithubTown();
  try {
    const { control } = town;
    await town.start();
    await control.push({
      repository,
      branch: 'topic',
      from: 'main',
      files: { 'alpha.sh': 'echo > $out' },
      by: 'alice',
    });
    const { headSha } = await control.openPull({ repository, head: 'topic', by: 'alice' });
    await untilTrue(async () => (await town.checksOf(headSha))['EkaCI change summary'] !== undefined);
    const times: Times[] = [];
    for (let round = 0; round < pushesOf(options); round++) times.push(await push(town, round));
    const first = summarize(times.map(({ firstGateMs }) => firstGateMs));
    const verdict = summarize(times.map(({ verdictMs }) => verdictMs));
    return {
      kind: 'measured',
      figures: [
        within({ name: 'push to first gate', unit: 'ms', ours: first, atMost: 300 }),
        forOrientation({ name: 'push to summary, of two packages', unit: 'ms', ours: verdict }),
      ],
    };
  } finally {
    await town.remove();
  }
};

export const firstGate: Benchmark = {
  name: 'first-gate',
  what: 'a push to a pull request until its forge shows the first gate',
  run: measure,
};
