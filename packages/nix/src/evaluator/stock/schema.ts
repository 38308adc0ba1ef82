// What a worker's lines carry, parsed at the edge: the expression is ours, but what it prints was computed by
// strangers' code.
import { z } from 'zod';

export const DerivationFacts = z.object({
  drvPath: z.string(),
  /** The path is in its own string context: a derivation that this evaluation wrote. */
  known: z.boolean(),
});
export type DerivationFacts = z.infer<typeof DerivationFacts>;

export const MetaFacts = z.object({
  pname: z.string().nullable(),
  version: z.string().nullable(),
  licenses: z.array(z.string()),
  maintainers: z.array(z.string()),
  maintainerIds: z.array(z.int().positive()),
  position: z.string().nullable(),
  broken: z.boolean(),
  insecure: z.boolean(),
  unfree: z.boolean(),
  unsupported: z.boolean(),
});
export type MetaFacts = z.infer<typeof MetaFacts>;

export const AttrPlace = z.object({ file: z.string(), line: z.number().int(), column: z.number().int() });
export type AttrPlace = z.infer<typeof AttrPlace>;

export const AttrNames = z.array(z.string());
export const Text = z.string();

/** @returns undefined when the text is not JSON of that shape */
export const parsePayload = <T>(schema: z.ZodType<T>, text: string): T | undefined => {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined; // Not JSON: cut short, or forged by code that learned the nonce.
  }
};
