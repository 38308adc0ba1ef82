// One line of nix-eval-jobs' output (its README: one JSON object an attribute).
import { z } from 'zod';

const identity = { attr: z.string(), attrPath: z.array(z.string()) };

export const JobLine = z.union([
  z.object({ ...identity, error: z.string() }),
  z.object({
    ...identity,
    drvPath: z.string(),
    /** As the package gives it; absent without `--meta`. */
    meta: z.unknown().optional(),
  }),
]);
export type JobLine = z.infer<typeof JobLine>;

/** @returns undefined when the line is not of that form: cut short, or not its output */
export const parseJobLine = (line: string): JobLine | undefined => {
  try {
    const parsed = JobLine.safeParse(JSON.parse(line));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined; // No JSON.
  }
};
