// Answers that go wrong because a test asked for it.

export type Fault =
  /** 429 (or 403), as when an hour's requests are used up. */
  | { readonly kind: 'rateLimited'; readonly retryAfterS: number | null; readonly status: 403 | 429 }
  /** GitHub's secondary limit. */
  | { readonly kind: 'secondaryLimit'; readonly retryAfterS: number | null; readonly status: 403 | 429 }
  | { readonly kind: 'status'; readonly status: number; readonly body: string }
  /** Never answers. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** The body comes in this many pieces, with a pause after each. */
  | { readonly kind: 'slowBody'; readonly pieces: number; readonly pauseMs: number }
  /** The connection ends in the middle of the body. */
  | { readonly kind: 'cutBody' };

export interface FaultRule {
  readonly id: number;
  readonly method: string | null;
  /** A regular expression on the path without the query. */
  readonly path: string;
  /** Whether what was asked is done all the same, before the answer goes wrong. */
  readonly takesEffect: boolean;
  readonly fault: Fault;
  left: number;
}

export interface Faults {
  add(rule: Omit<FaultRule, 'id' | 'left'> & { readonly times: number }): number;
  /** The first rule that matches, one use of it less. */
  take(method: string, path: string): FaultRule | null;
  list(): readonly FaultRule[];
  clear(): void;
}

export const createFaults = (): Faults => {
  let rules: FaultRule[] = [];
  let lastId = 0;
  return {
    add: ({ times, ...rule }) => {
      lastId += 1;
      rules.push({ ...rule, id: lastId, left: times });
      return lastId;
    },
    take: (method, path) => {
      const rule = rules.find((one) => (one.method ?? method) === method && new RegExp(one.path).test(path));
      if (rule === undefined) return null;
      rule.left -= 1;
      rules = rules.filter(({ left }) => left > 0);
      return rule;
    },
    list: () => rules,
    clear: () => {
      rules = [];
    },
  };
};
