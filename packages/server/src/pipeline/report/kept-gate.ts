// A gate as the outbox keeps it, and back: the database takes texts, for it knows no forge.
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { StoredGate, WantedGate } from '../../database/database.ts';
import type { Gate } from '../../forge/gate.ts';
import type { GatePlace } from '../../forge/hosted-forge.ts';

const timeMs = z.number().nullable();

// Strict: what a newer version keeps beside this would be lost on the way to the forge.
const KeptGate = z.strictObject({
  name: z.string(),
  headSha: z.custom<CommitSha>((value) => typeof value === 'string'),
  externalId: z.string(),
  state: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('queued') }),
    z.strictObject({ kind: z.literal('in-progress'), startedAtMs: timeMs }),
    z.strictObject({
      kind: z.literal('concluded'),
      conclusion: z.enum([
        'success',
        'failure',
        'neutral',
        'cancelled',
        'skipped',
        'timed-out',
        'action-required',
      ]),
      startedAtMs: timeMs,
      endedAtMs: timeMs,
    }),
  ]),
  title: z.string(),
  summary: z.string(),
  detailsUrl: z.string().nullable(),
  annotations: z
    .array(
      z.strictObject({
        path: z.string(),
        startLine: z.number(),
        endLine: z.number(),
        level: z.enum(['notice', 'warning', 'failure']),
        message: z.string(),
        title: z.string().exactOptional(),
      }),
    )
    .readonly()
    .exactOptional(),
  actions: z
    .array(z.strictObject({ identifier: z.string(), label: z.string(), description: z.string() }))
    .readonly()
    .exactOptional(),
});

const KeptPlace = z.strictObject({ repository: z.string(), baseBranch: z.string().nullable() });

export interface GateToWant {
  /** Of the forge. */
  readonly host: string;
  readonly place: GatePlace;
  readonly gate: Gate;
  /** Those with lower numbers are sent first. @default 1, and 0 where somebody has to press a button */
  readonly priority?: number;
  /** The forge's number of the repository, where it is known. */
  readonly repositoryId?: number | undefined;
}

export const wantedGateOf = ({ host, place, gate, priority, repositoryId }: GateToWant): WantedGate => {
  const awaitsSomebody = gate.state.kind === 'concluded' && gate.state.conclusion === 'action-required';
  return {
    host,
    repository: place.repository,
    ...(repositoryId !== undefined && { repositoryId }),
    headSha: gate.headSha,
    name: gate.name,
    wantedJson: JSON.stringify(gate satisfies z.input<typeof KeptGate>),
    placeJson: JSON.stringify(place satisfies z.input<typeof KeptPlace>),
    isConcluded: gate.state.kind === 'concluded',
    priority: priority ?? (awaitsSomebody ? 0 : 1),
  };
};

const parseText = <Value>(schema: z.ZodType<Value>, text: string): Value | null => {
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
};

/** Null for one that another version wrote. */
export const readGate = ({
  wantedJson,
  placeJson,
}: Pick<StoredGate, 'wantedJson' | 'placeJson'>): {
  readonly gate: Gate;
  readonly place: GatePlace;
} | null => {
  const gate = parseText(KeptGate, wantedJson);
  const place = parseText(KeptPlace, placeJson);
  return gate === null || place === null ? null : { gate, place };
};
