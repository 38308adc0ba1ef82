// What a line of nix-eval-jobs settles, in the words of the stock driver: the record is the same whoever evaluates.
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import type { z } from 'zod';
import { DerivationFacts, MetaFacts, parsePayload } from '../stock/schema.ts';
import { derivationRecord, type RecordContext, unavailableRecord } from '../stock/to-record.ts';
import type { JobLine } from './schema.ts';

export type JobOutcome =
  | { readonly kind: 'record'; readonly record: EvaluationRecord }
  /** The stock driver is to look at it: of a failure there is only a text here. `throws`: that is known of it. */
  | { readonly kind: 'left'; readonly path: readonly string[]; readonly throws: boolean };

const parse = <T>(schema: z.ZodType<T>, text: string | null): T | null =>
  (text === null ? undefined : parsePayload(schema, text)) ?? null;

export const toOutcome = (line: JobLine, context: RecordContext): JobOutcome => {
  const { attrPath: path, extraValue: about } = line;
  const left = (throws: boolean): JobOutcome => ({ kind: 'left', path, throws });
  if (!about) return left(false);
  const facts = parse(DerivationFacts, about.facts);
  const meta = parse(MetaFacts, about.meta);
  if (line.error === undefined) {
    if (facts === null || meta === null || facts.drvPath !== line.drvPath) return left(false);
    return { kind: 'record', record: derivationRecord({ path, ...facts, meta, metaError: null }, context) };
  }
  if (about.facts !== null || meta === null) return left(false);
  const record = unavailableRecord(path, meta, context);
  return record === null ? left(true) : { kind: 'record', record };
};
