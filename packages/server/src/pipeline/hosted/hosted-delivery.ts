// What a hosted forge told, or was seen to have, as a durable row: its key, and its payload from and to text.
import type { CommitSha } from '@eka-ci/core/ids';
import { z } from 'zod';
import type { Delivery } from '../../database/database.ts';
import type { EventRepository, ForgeEvent, MergeGroup } from '../../forge/forge-event.ts';

/** Something that was seen to differ from what is known here, without having been told. */
export type Sight =
  | { readonly kind: 'seen-change'; readonly repository: EventRepository; readonly number: number }
  | { readonly kind: 'seen-branch'; readonly repository: EventRepository; readonly branch: string }
  | {
      /** A branch that a merge queue makes. */
      readonly kind: 'seen-group';
      readonly repository: EventRepository;
      readonly branch: string;
      /** What was told of it; null where it was only seen. */
      readonly told: Omit<MergeGroup, 'ref'> | null;
      /** The commit of which the end was told; null where none was. */
      readonly endedSha: CommitSha | null;
    };

export type HostedPayload = ForgeEvent | Sight;

/** True for what nobody told. */
export const isSight = (payload: HostedPayload): payload is Sight =>
  payload.kind === 'seen-change' || payload.kind === 'seen-branch' || payload.kind === 'seen-group';

const first = 'hosted';
const keyBeginning = `["${first}",`;

/** @param id the forge's own, of one delivery */
export const hostedKey = (host: string, id: string): string => JSON.stringify([first, host, id]);

/** Of a sight, which no forge names; never that of a delivery. @param id unique */
export const sightKey = (host: string, id: string): string => JSON.stringify([first, host, 'seen', id]);

/** True for the rows of hosted forges, which nobody else is to touch. */
export const isHosted = ({ key }: Pick<Delivery, 'key'>): boolean => key.startsWith(keyBeginning);

export const isOfHost = ({ key }: Pick<Delivery, 'key'>, host: string): boolean =>
  key.startsWith(`${keyBeginning}${JSON.stringify(host)},`);

const id = z.int().nonnegative();
const sha = z
  .string()
  .regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/)
  .transform((text) => text as CommitSha);
const branch = z.string().min(1).max(1024);
const user = z.object({ id, login: z.string(), isPerson: z.boolean() });
const repositoryId = z.object({ id, name: z.string().min(3).max(500) });
const repository = repositoryId.extend({ isPrivate: z.boolean(), defaultBranch: branch });
const change = z.object({
  number: id,
  title: z.string(),
  author: user.nullable(),
  isDraft: z.boolean(),
  isOpen: z.boolean(),
  headSha: sha,
  headBranch: z.string(),
  headRepository: repositoryId.nullable(),
  baseSha: sha,
  baseBranch: branch,
});
const reviewed = z.object({ number: id, headSha: sha, baseBranch: branch });
const gate = z.object({ gateId: id, name: z.string(), externalId: z.string().nullable(), headSha: sha });
const toldGroup = z.object({ headSha: sha, baseSha: sha, baseBranch: branch, changeNumber: id.nullable() });
const group = toldGroup.extend({ ref: z.string() });

/** Every happening of a repository tells which one, and who caused it. */
const inRepository = { repository, by: user.nullable() };
const account = z.string();

/** One of each kind, as `HostedPayload` has them; the compiler compares. */
const payloadSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('change-opened'), change, isNew: z.boolean(), ...inRepository }),
  z.object({ kind: z.literal('change-moved'), change, ...inRepository }),
  z.object({ kind: z.literal('change-closed'), change, isMerged: z.boolean(), ...inRepository }),
  z.object({ kind: z.literal('change-draft'), change, ...inRepository }),
  z.object({ kind: z.literal('change-base-changed'), change, oldBaseBranch: branch, ...inRepository }),
  z.object({ kind: z.literal('merge-group-requested'), group, ...inRepository }),
  z.object({
    kind: z.literal('merge-group-destroyed'),
    group,
    reason: z.enum(['merged', 'dequeued', 'invalidated', 'unknown']),
    ...inRepository,
  }),
  z.object({
    kind: z.literal('branch-pushed'),
    branch,
    before: sha.nullable(),
    after: sha.nullable(),
    ...inRepository,
  }),
  z.object({
    kind: z.literal('comment-created'),
    changeNumber: id,
    commentId: id,
    author: user,
    text: z.string(),
    createdAtMs: z.number(),
    ...inRepository,
  }),
  z.object({
    kind: z.literal('review-submitted'),
    change: reviewed,
    reviewer: user,
    reviewId: z.number(),
    verdict: z.enum(['approved', 'changes-requested', 'commented']),
    reviewedSha: sha.nullable(),
    ...inRepository,
  }),
  z.object({
    ...{ kind: z.literal('review-dismissed'), change: reviewed, reviewer: user, reviewId: z.number() },
    ...inRepository,
  }),
  z.object({ kind: z.literal('gate-rerun'), gate, ...inRepository }),
  z.object({ kind: z.literal('gates-rerun'), headSha: sha, ...inRepository }),
  z.object({ kind: z.literal('gate-action'), gate, action: z.string(), ...inRepository }),
  z.object({
    kind: z.enum(['outside-run-held', 'outside-run-goes-on']),
    runId: id,
    headSha: sha,
    headRepository: repositoryId.nullable(),
    author: user.nullable(),
    ...inRepository,
  }),
  z.object({
    kind: z.enum(['repository-renamed', 'repository-transferred']),
    oldName: z.string(),
    ...inRepository,
  }),
  z.object({ kind: z.literal('repository-deleted'), ...inRepository }),
  z.object({ kind: z.literal('repository-visibility'), isPrivate: z.boolean(), ...inRepository }),
  z.object({
    kind: z.enum([
      'access-given',
      'access-ended',
      'access-suspended',
      'access-resumed',
      'access-rights-changed',
    ]),
    account,
  }),
  z.object({
    kind: z.literal('repositories-changed'),
    account,
    added: z.array(repositoryId),
    removed: z.array(repositoryId),
  }),
  z.object({
    kind: z.literal('rights-changed'),
    account,
    place: repositoryId.nullable(),
    userId: id.nullable(),
  }),
  z.object({ kind: z.literal('ping') }),
  z.object({ kind: z.literal('seen-change'), repository, number: id }),
  z.object({ kind: z.literal('seen-branch'), repository, branch }),
  z.object({
    kind: z.literal('seen-group'),
    repository,
    branch,
    told: toldGroup.nullable(),
    endedSha: sha.nullable(),
  }),
]);

const hostIn = /^\["[^"]*","[^"]*"/;
/** In a text inside of it the quotes would be written otherwise. */
const privateIn = /"repository":\{[^{}]*"isPrivate":true[^{}]*\}/;

/** For who looks through many: the same text for all that tell of the same private repository; null where it tells of none. */
export const whatItHides = ({ key, payload }: Delivery): string | null => {
  if (!payload.includes('"isPrivate":true')) return null;
  return `${hostIn.exec(key)?.[0] ?? key} ${privateIn.exec(payload)?.[0] ?? payload}`;
};

type Readable = { readonly kind: z.output<typeof payloadSchema>['kind'] };

export const writePayload = (payload: HostedPayload): string => JSON.stringify(payload satisfies Readable);

/** @throws ZodError, SyntaxError for what another version wrote */
export const readPayload = ({ payload }: Pick<Delivery, 'payload'>): HostedPayload =>
  payloadSchema.parse(JSON.parse(payload));
