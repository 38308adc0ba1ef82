// How much evaluations may say: what attributes are called, and say of themselves, is kept in memory until a change is
// judged, and a few lines of Nix can say the same long text of each of a million.
import { getHeapStatistics } from 'node:v8';
import type { EvaluationFailure, EvaluationRecord, PackageMeta } from '@eka-ci/core/evaluation';

export interface EvaluationRoom {
  /** Takes the room that it needs. @returns why there is none left; null where there is */
  take(record: EvaluationRecord): EvaluationFailure | null;
}

/** Of what this process may have: some hundred megabytes. The largest package set there is says some 60 MB. */
const part = 1 / 8;

const lengthOf = (texts: readonly (string | null)[]): number =>
  texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);

const ofMeta = ({ pname, version, position, licenses, maintainers }: PackageMeta): number =>
  lengthOf([pname, version, position]) + lengthOf(licenses) + lengthOf(maintainers);

/** In characters. */
const sizeOf = (record: EvaluationRecord): number => {
  const name = 2 * record.attr.length;
  switch (record.kind) {
    case 'failed':
      return name + record.failure.message.length;
    case 'unavailable':
      return name + ofMeta(record.meta);
    case 'derivation': {
      const { drvPath, outputs, meta, metaError } = record;
      const paths = lengthOf([drvPath, metaError, ...Object.keys(outputs), ...Object.values(outputs)]);
      return name + paths + (meta === null ? 0 : ofMeta(meta));
    }
  }
};

/** For all evaluations of a change's side. @param characters of their records */
export const createEvaluationRoom = (
  characters = getHeapStatistics().heap_size_limit * part,
): EvaluationRoom => {
  let left = characters;
  return {
    take: (record) => {
      left -= sizeOf(record);
      if (left >= 0) return null;
      const mib = Math.floor(characters / 1024 / 1024);
      const message =
        `the attributes of the change say more than ${mib} MiB of themselves (names, meta, errors), an eighth of the memory ` +
        'that the server may have: a larger --max-old-space-size of its Node gives it more';
      return { kind: 'other', message, position: null };
    },
  };
};
