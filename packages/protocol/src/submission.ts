// A change that somebody asks to have judged by hand, without any forge: what is asked, and how it stands.
import { z } from 'zod';
import { ChangeDetail } from './change.ts';

const revision = z.string().min(1).max(1000);

export const ReviewSubmission = z
  .strictObject({
    /** The client's choice: the same submission may be sent twice, and is judged once. */
    id: z.uuid(),
    source: z.discriminatedUnion('kind', [
      /** A folder inside a repository on the server's machine, absolute. */
      z.strictObject({ kind: z.literal('local'), path: z.string().min(1).max(4096) }),
      /** Any git URL, without credentials. */
      z.strictObject({ kind: z.literal('url'), url: z.string().min(1).max(2000) }),
    ]),
    base: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('revision'), revision }),
      /** The repository's default branch. */
      z.strictObject({ kind: z.literal('default') }),
      /** The same, or nothing where the head is that very commit. */
      z.strictObject({ kind: z.literal('default-or-nothing') }),
      /** Everything in the head is new. */
      z.strictObject({ kind: z.literal('nothing') }),
    ]),
    head: revision,
    /** False judges the head as it is, not its merge into the base; there is none with nothing. */
    merge: z.boolean(),
    /** Names of jobs; empty means all. */
    jobs: z.array(z.string().max(500)).max(1000),
    /** This Nix file alone, relative to the repository's root, whatever its configuration says; null: the jobs. */
    file: z.string().min(1).max(4096).nullable(),
    build: z.boolean(),
    /** `preferred`: evaluate unconfined where namespaces are not to be had. */
    sandbox: z.enum(['required', 'preferred']),
  })
  .meta({ id: 'ReviewSubmission' });
export type ReviewSubmission = z.infer<typeof ReviewSubmission>;

export const ReviewParams = z.object({ id: z.uuid() });

export const Review = ChangeDetail.extend({
  /** The summary as a forge shows it; null while there is none. */
  markdown: z.string().nullable(),
}).meta({ id: 'Review' });
export type Review = z.infer<typeof Review>;
