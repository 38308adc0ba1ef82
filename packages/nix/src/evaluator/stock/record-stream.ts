// Reads one worker's record lines into what became of each item. Pure: the same lines always give the same answers,
// and whatever does not fit the order the expression prints in is a broken stream, never a guess.
import type { WorkItem } from './expression.ts';
import { AttrNames, AttrPlace, DerivationFacts, MetaFacts, parsePayload, Text } from './schema.ts';

export type ItemOutcome =
  | { readonly kind: 'derivation'; readonly facts: DerivationFacts; readonly meta: MetaFacts }
  /** It threw under tryEval; meta where that could be read. */
  | { readonly kind: 'threw'; readonly meta: MetaFacts | null }
  | { readonly kind: 'set'; readonly names: readonly string[] }
  | { readonly kind: 'nothing' }
  /** The job's root is no set; what it is as `builtins.typeOf` says. */
  | { readonly kind: 'no-set'; readonly type: string };

export type StreamStep =
  | { readonly kind: 'begun' }
  | { readonly kind: 'more' }
  | { readonly kind: 'settled'; readonly item: WorkItem; readonly outcome: ItemOutcome }
  | { readonly kind: 'broken'; readonly reason: string };

/** What was said of an item before the process died in it. */
export interface UnfinishedItem {
  readonly item: WorkItem;
  /** Position in the batch: 0 is the first. */
  readonly index: number;
  readonly facts: DerivationFacts | null;
  readonly threw: boolean;
  /** Where the attribute is written. */
  readonly place: AttrPlace | null;
}

export interface RecordStream {
  /** Takes one traced message, `trace: ` taken off. Null when it is not one of ours. */
  accept(message: string): StreamStep | null;
  /** The item that was begun and not ended, or null. */
  inHand(): UnfinishedItem | null;
  /** Items of the batch that were not begun. */
  waiting(): readonly WorkItem[];
}

interface Progress {
  index: number;
  begun: boolean;
  facts: DerivationFacts | null;
  meta: MetaFacts | null;
  names: string[] | null;
  threw: boolean;
  place: AttrPlace | null;
  rootType: string | null;
  nothing: boolean;
}

const fresh = (index: number): Progress => ({
  index,
  begun: false,
  facts: null,
  meta: null,
  names: null,
  threw: false,
  place: null,
  rootType: null,
  nothing: false,
});

const outcomeOf = (seen: Progress): ItemOutcome | null => {
  if (seen.threw) return { kind: 'threw', meta: seen.meta };
  if (seen.facts !== null) {
    return seen.meta === null ? null : { kind: 'derivation', facts: seen.facts, meta: seen.meta };
  }
  if (seen.names !== null) return { kind: 'set', names: seen.names };
  if (seen.rootType !== null) return { kind: 'no-set', type: seen.rootType };
  // A set without names prints nothing between its beginning and its end.
  return seen.nothing ? { kind: 'nothing' } : { kind: 'set', names: [] };
};

/** Notes one fact; false when it does not parse or does not belong there. */
const note = (seen: Progress, kind: string, payload: string): boolean => {
  switch (kind) {
    case 'D':
      return seen.facts === null && (seen.facts = parsePayload(DerivationFacts, payload) ?? null) !== null;
    case 'M':
    case 'U':
      if ((kind === 'M') === (seen.facts === null)) return false;
      return seen.meta === null && (seen.meta = parsePayload(MetaFacts, payload) ?? null) !== null;
    case 'C': {
      const names = parsePayload(AttrNames, payload);
      seen.names = [...(seen.names ?? []), ...(names ?? [])];
      return names !== undefined;
    }
    case 'P':
      return (seen.place = parsePayload(AttrPlace, payload) ?? null) !== null;
    case 'T':
      return (seen.threw = true);
    case 'N':
      return (seen.nothing = true);
    case 'X':
      return (seen.rootType = parsePayload(Text, payload) ?? null) !== null;
    default:
      return false;
  }
};

const recordPattern = /^(?<sequence>\d+) (?<kind>[A-Z]) (?<id>\d+)(?: (?<payload>.*))?$/s;

/** Facts that are the last of their attribute. */
const endings = new Set(['M', 'N', 'X']);

/** @param nonce what the expression of the same worker was given */
export const createRecordStream = (nonce: string, items: readonly WorkItem[]): RecordStream => {
  let expected = 0;
  let seen = fresh(0);
  // Stays: what comes after a break may be forged, and was printed before the process could be ended.
  let fault: string | null = null;

  const settle = (item: WorkItem): StreamStep | string => {
    const outcome = outcomeOf(seen);
    if (outcome === null) return 'an attribute ended without its meta';
    seen = fresh(seen.index + 1);
    return { kind: 'settled', item, outcome };
  };

  /** A text says what is wrong. */
  const take = (record: string): StreamStep | string => {
    const parts = recordPattern.exec(record)?.groups;
    const item = items[seen.index];
    if (parts === undefined || item === undefined) return 'a record that nothing asked for';
    const { sequence, id, kind = '', payload = '' } = parts;
    if (Number(sequence) !== expected) return `record ${sequence} where ${expected} was due`;
    if (Number(id) !== item.id) return 'a record of another attribute';
    expected += 1;
    if (kind === 'S' && !seen.begun) {
      seen.begun = true;
      if (payload === '' || note(seen, 'P', payload)) return { kind: 'begun' };
      return 'S does not parse';
    }
    if (!seen.begun) return `${kind} before its attribute began`;
    if (kind === 'E') return settle(item);
    if (!note(seen, kind, payload)) return `${kind} does not parse or belong there`;
    return endings.has(kind) ? settle(item) : { kind: 'more' };
  };

  return {
    accept: (message) => {
      if (!message.startsWith(`${nonce} `)) return null;
      const step = fault ?? take(message.slice(nonce.length + 1));
      if (typeof step !== 'string') return step;
      fault = step;
      return { kind: 'broken', reason: step };
    },
    inHand: () => {
      const item = items[seen.index];
      if (item === undefined || !seen.begun) return null;
      return { item, index: seen.index, facts: seen.facts, threw: seen.threw, place: seen.place };
    },
    waiting: () => items.slice(seen.begun ? seen.index + 1 : seen.index),
  };
};
