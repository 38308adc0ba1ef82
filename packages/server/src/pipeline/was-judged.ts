// Whether a change has a verdict of its own, also where a newer one has taken its place since.
import type { ChangeListing } from '../database/database.ts';

export const wasJudged = ({ conclusion, fault, judgedTree }: ChangeListing): boolean =>
  conclusion !== null && fault === null && judgedTree !== null;
