// How fast GitHub lets one identity ask: what its answers say is left, what it forbade for a while, and how much may be
// created in a minute and in an hour.

/** Limits are counted apart for the REST API and for GraphQL. */
export type Resource = 'core' | 'graphql';

/** What an answer says of a limit. */
export interface LimitReport {
  readonly resource: Resource;
  readonly remaining: number;
  /** On our clock. */
  readonly resetAtMs: number;
}

export interface ContentBudget {
  readonly leftThisMinute: number;
  readonly leftThisHour: number;
}

/** Of one identity. Times are milliseconds since 1970. */
export interface Pace {
  /** How long nothing may be asked; 0: now. */
  waitMs(resource: Resource, nowMs: number): number;
  /** How long nothing may be created; 0: now. */
  contentWaitMs(nowMs: number): number;
  /** Something is about to be created. */
  spendContent(nowMs: number): void;
  contentBudget(nowMs: number): ContentBudget;
  report(limit: LimitReport): void;
  /** Nothing is to be asked before then. */
  block(untilMs: number): void;
  /** How often in a row GitHub said that we are too fast, this time included. */
  strike(): number;
  /** An answer that is no complaint: the next complaint is the first again. */
  forgive(): void;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** GitHub's own last an hour at most; what says more is broken. */
export const longestLimitMs = 2 * hourMs;

/** GitHub's limits on requests that create something, as far as they are known. */
const contentPerMinute = 80;
const contentPerHour = 500;

/** When something was created in the last hour. */
const createContentLog = () => {
  // Oldest first.
  let created: number[] = [];
  const since = (nowMs: number, windowMs: number): readonly number[] => {
    // A clock that went back leaves moments that are yet to come: they would hold us up for as long as it jumped.
    created = created.filter((at) => at > nowMs - hourMs && at <= nowMs);
    return created.filter((at) => at > nowMs - windowMs);
  };
  const waitMs = (nowMs: number, { most, windowMs }: { most: number; windowMs: number }): number => {
    const blocking = since(nowMs, windowMs).at(-most);
    return blocking === undefined ? 0 : blocking + windowMs - nowMs;
  };
  return {
    add: (nowMs: number): void => {
      created.push(nowMs);
    },
    waitMs: (nowMs: number): number =>
      Math.max(
        waitMs(nowMs, { most: contentPerMinute, windowMs: minuteMs }),
        waitMs(nowMs, { most: contentPerHour, windowMs: hourMs }),
      ),
    budget: (nowMs: number): ContentBudget => ({
      leftThisMinute: Math.max(0, contentPerMinute - since(nowMs, minuteMs).length),
      leftThisHour: Math.max(0, contentPerHour - since(nowMs, hourMs).length),
    }),
  };
};

/** How long until then; 0 where that is further away than any limit lasts: then the clock went back. */
const leftUntil = (untilMs: number, nowMs: number): number => {
  const leftMs = untilMs - nowMs;
  return leftMs > longestLimitMs ? 0 : Math.max(0, leftMs);
};

export const createPace = (): Pace => {
  const exhaustedUntilMs: Record<Resource, number> = { core: 0, graphql: 0 };
  const content = createContentLog();
  let blockedUntilMs = 0;
  let strikes = 0;
  return {
    waitMs: (resource, nowMs) =>
      Math.max(leftUntil(blockedUntilMs, nowMs), leftUntil(exhaustedUntilMs[resource], nowMs)),
    contentWaitMs: content.waitMs,
    spendContent: content.add,
    contentBudget: content.budget,
    report: ({ resource, remaining, resetAtMs }) => {
      exhaustedUntilMs[resource] = remaining > 0 ? 0 : resetAtMs;
    },
    block: (untilMs) => {
      blockedUntilMs = Math.max(blockedUntilMs, untilMs);
    },
    strike: () => {
      strikes += 1;
      return strikes;
    },
    forgive: () => {
      strikes = 0;
    },
  };
};
