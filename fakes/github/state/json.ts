// What JSON can hold.

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [key: string]: Json;
}

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A name or an id as text. @throws Error for anything else */
export const wordOf = (value: Json | undefined): string => {
  if (typeof value === 'string' || typeof value === 'number') return `${value}`;
  throw new Error(`no word: ${JSON.stringify(value)}`);
};
