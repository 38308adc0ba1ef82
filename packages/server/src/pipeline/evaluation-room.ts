// How much evaluations may say: what attributes are called, and say of themselves, is kept in memory until a change is
// judged, and a few lines of Nix can say the same long text of each of a million.
import type { EvaluationFailure, EvaluationRecord } from '@eka-ci/core/evaluation';
import { recordBytes } from './record-size.ts';

/** Others hold, or wait for, what it would need beyond what was put aside for it: to be evaluated again, with the most put aside. */
export class CrowdedError extends Error {
  readonly code = 'EVALUATION_CROWDED';
  constructor() {
    super(
      'the packages say more than was expected of them, and the rest of the memory is for what other changes say',
    );
    this.name = 'CrowdedError';
  }
}

export interface EvaluationRoom {
  /** Takes the room that it needs. @returns why there is none left; null where there is @throws CrowdedError */
  take(record: EvaluationRecord): EvaluationFailure | null;
  /** To be called before records that may be given up: the function that comes back gives back all that was taken since. */
  mark(): () => void;
}

export interface RoomAllowed {
  readonly bytes: number;
  /** Of what this is so much, and what gives more: for people, in the middle of a sentence. */
  readonly because: string;
}

export interface CountedRoom extends EvaluationRoom {
  taken(): number;
}

const tooMuch = ({ bytes, because }: RoomAllowed): EvaluationFailure => {
  const mib = Math.floor(bytes / 1024 / 1024);
  const message = `the attributes say more than ${mib} MiB of themselves (names, meta, errors), ${because}`;
  return { kind: 'other', message, position: null };
};

/** @param onTake told what is about to be taken, in bytes; may throw */
export const createEvaluationRoom = (
  allowed: RoomAllowed,
  onTake: (bytes: number) => void = () => {},
): CountedRoom => {
  let taken = 0;
  return {
    take: (record) => {
      const bytes = recordBytes(record);
      if (taken + bytes > allowed.bytes) return tooMuch(allowed);
      onTake(bytes);
      taken += bytes;
      return null;
    },
    mark: () => {
      const before = taken;
      return () => {
        taken = before;
      };
    },
    taken: () => taken,
  };
};

/** Of a development shell, which is one attribute: some times what such a record can have. */
export const createShellRoom = (): EvaluationRoom =>
  createEvaluationRoom({ bytes: 16 * 1024 * 1024, because: 'and a development shell is one alone' });
