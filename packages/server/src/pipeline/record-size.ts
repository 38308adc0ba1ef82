// What a record of an evaluation takes in memory: its texts, and around them what V8 needs for objects, lists and texts. For
// a real package set that is more than twice the texts, and for short names without end hundreds of times.
import type { EvaluationRecord, PackageMeta } from '@eka-ci/core/evaluation';

/** As V8 lays them out on 64 bits, where pointers are not compressed: a header, and what points there. */
const ofText = 20;
const ofObject = 24;
const ofList = 48;
const ofField = 8;
const objectBytes = (fields: number): number => ofObject + fields * ofField;

/** Its places in the jobset and in the plan, and its row there. */
const ofPlaces = 2 * ofField + objectBytes(5);

/** One such character, and V8 keeps every one of the text in two bytes. */
const wide = /[\u0100-\uffff]/;

const textBytes = (text: string | null): number => {
  if (text === null) return 0;
  return ofText + (wide.test(text) ? 2 * text.length : text.length);
};

const textsBytes = (texts: readonly (string | null)[]): number =>
  texts.reduce((sum, text) => sum + ofField + textBytes(text), ofList);

const metaBytes = ({ maintainerIds, licenses, maintainers, ...meta }: PackageMeta): number =>
  objectBytes(10) +
  ofList +
  maintainerIds.length * 2 * ofField +
  textsBytes(licenses) +
  textsBytes(maintainers) +
  textBytes(meta.pname) +
  textBytes(meta.version) +
  textBytes(meta.position);

/** Names of outputs are anybody's choice: V8 keeps a table then, of three fields each. */
const outputsBytes = (outputs: Readonly<Record<string, string | null>>): number =>
  Object.entries(outputs).reduce(
    (sum, [name, path]) => sum + 3 * ofField + textBytes(name) + textBytes(path),
    ofObject,
  );

const ownBytes = (record: EvaluationRecord): number => {
  switch (record.kind) {
    case 'failed': {
      const { message, position } = record.failure;
      return objectBytes(4) + objectBytes(3) + textBytes(message) + textBytes(position?.file ?? null);
    }
    case 'unavailable':
      return objectBytes(5) + textsBytes(record.reasons) + metaBytes(record.meta);
    case 'derivation': {
      const { name, system, drvPath, outputs, meta, metaError } = record;
      const texts = [name, system, drvPath, metaError].reduce((sum, text) => sum + textBytes(text), 0);
      return objectBytes(9) + texts + outputsBytes(outputs) + (meta === null ? 0 : metaBytes(meta));
    }
  }
};

/** In bytes, as near as can be told from outside. */
export const recordBytes = (record: EvaluationRecord): number =>
  ofPlaces + textBytes(record.attr) + textsBytes(record.attrPath) + ownBytes(record);
