// A gate for each job whose `size_check` found outputs that grow too much: neutral, with the numbers. It holds nothing up.
import { describeBreaches, renderBreaches } from '@eka-ci/core/change-summary/markdown-impact';
import type { SizeComparison } from '@eka-ci/core/change-summary/sizes';
import { z } from 'zod';
import type { Gate } from '../../forge/gate.ts';
import { gateKinds, gateOf, type ReportedChange } from './change-gates.ts';

const bytes = z.object({
  baseBytes: z.number().nullable(),
  bytes: z.number(),
  differenceBytes: z.number().nullable(),
  differencePercent: z.number().nullable(),
});

/** As much of a stored summary's job as it takes; summaries of earlier versions have none. */
export const ReportedSizes = z
  .object({
    maxIncreasePercent: z.number().nullable(),
    breaches: z.number(),
    comparisons: z.array(
      z.object({
        attr: z.string(),
        output: z.string(),
        nar: bytes,
        closure: bytes,
        gainedReferences: z.array(z.string()),
        lostReferences: z.array(z.string()),
        breached: z.boolean(),
      }),
    ),
  })
  .nullish();

export interface SizedJob {
  readonly job: string;
  readonly sizes?:
    | {
        readonly maxIncreasePercent: number | null;
        readonly breaches: number;
        readonly comparisons: readonly SizeComparison[];
      }
    | null
    | undefined;
}

/** The rest is in the change summary. */
const mostRows = 100;

export const sizeGates = (change: ReportedChange, jobs: readonly SizedJob[]): Gate[] =>
  jobs.flatMap(({ job, sizes }) => {
    if (sizes === null || sizes === undefined || sizes.breaches === 0) return [];
    const gate = gateOf(change, `${gateKinds.sizes}${job}`, {
      state: { kind: 'concluded', conclusion: 'neutral', startedAtMs: null, endedAtMs: null },
      title: describeBreaches(sizes),
      summary: renderBreaches(sizes.comparisons, mostRows),
    });
    return [gate];
  });
