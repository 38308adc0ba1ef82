// JSON that a credential source answered: walked through only where it is neither too deep nor something else.
import { isDeeper } from '../lib/json-depth.ts';

const maxDepth = 16;

export type AnswerTable = Readonly<Record<string, unknown>>;

/** Null for anything but an object. */
export const asTable = (value: unknown): AnswerTable | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;

/** Null where the text is no JSON object, or a bottomless one. What the parser says would quote the text. */
export const readTable = (text: string): AnswerTable | null => {
  if (isDeeper(text, maxDepth)) return null;
  try {
    return asTable(JSON.parse(text));
  } catch {
    return null;
  }
};

/** An empty string where there is no text. */
export const textAt = (table: AnswerTable, key: string): string => {
  const value = table[key];
  return typeof value === 'string' ? value : '';
};

/** Null where there is no number that could be counted with. */
export const countAt = (table: AnswerTable, key: string): number | null => {
  const value = table[key];
  const count = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof count === 'number' && Number.isFinite(count) && count >= 0 ? count : null;
};
