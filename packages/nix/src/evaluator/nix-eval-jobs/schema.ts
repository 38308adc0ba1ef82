// One line of nix-eval-jobs' output (its README: one JSON object an attribute).
import { z } from 'zod';
import { decodeName } from '../stock/expression.ts';
import { parsePayload } from '../stock/schema.ts';

/** Of `aboutAttribute`, by way of `--apply`. */
const About = z.object({ facts: z.string().nullable(), meta: z.string().nullable() });

export const JobLine = z.object({
  attrPath: z.array(z.string().transform(decodeName)),
  /** Printed for people. */
  error: z.string().optional(),
  drvPath: z.string().optional(),
  /** Also beside an error, where that came after it; null or absent where it came before. */
  extraValue: About.nullish(),
});
export type JobLine = z.infer<typeof JobLine>;

/** @returns undefined when the line is not of that form: cut short, or not its output */
export const parseJobLine = (line: string): JobLine | undefined => parsePayload(JobLine, line);
