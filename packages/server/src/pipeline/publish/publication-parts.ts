// What a judgement hands on, in parts that are written and read one by one: as a whole it may be of tens of megabytes, and
// whoever read that would keep everybody else waiting.
import type { NewPublication } from '../../database/database.ts';
import { breathe } from '../../lib/breathe.ts';
import type { Publication, PublishedJob } from './publication.ts';

/** About 200 kB of text. */
const entriesAtOnce = 1000;

function* slicesOf<Entry>(entries: readonly Entry[], size: number): Generator<readonly Entry[]> {
  for (let at = 0; at < entries.length; at += size) yield entries.slice(at, at + size);
}

/** What each reader wants of a job, a slice at a time. */
function* piecesOf({ name, caches, hooks, roots, builds }: PublishedJob, reader: Reader, size: number) {
  if (reader === 'pushes' && caches.length > 0) {
    for (const some of slicesOf(roots, size)) yield { name, caches, hooks: [], roots: some, builds: [] };
  }
  if (reader === 'hooks' && hooks.length > 0) {
    for (const some of slicesOf(builds, size)) yield { name, caches: [], hooks, roots: [], builds: some };
  }
}
type Reader = NewPublication['readers'][number];

function* partsFor(reader: Reader, publication: Publication, size: number): Generator<Publication> {
  let jobs: PublishedJob[] = [];
  let entries = 0;
  for (const job of publication.jobs) {
    for (const piece of piecesOf(job, reader, size)) {
      const more = piece.roots.length + piece.builds.length;
      if (entries > 0 && entries + more > size) {
        yield { ...publication, jobs };
        [jobs, entries] = [[], 0];
      }
      jobs.push(piece);
      entries += more;
    }
  }
  if (entries > 0) yield { ...publication, jobs };
}

interface Part {
  readonly reader: Reader;
  readonly publication: Publication;
}

/**
 * Each says the same of fewer, for one reader: together what the whole says, in its order. What nobody would read is left
 * out. Pure.
 * @param size at most so many roots, or builds, in one
 */
export function* partsOf(publication: Publication, size = entriesAtOnce): Generator<Part> {
  for (const reader of ['pushes', 'hooks'] as const) {
    for (const part of partsFor(reader, publication, size)) yield { reader, publication: part };
  }
}

/** As the database keeps it. @param size as of `partsOf` */
export const writePublication = async (
  publication: Publication,
  size?: number,
): Promise<readonly NewPublication[]> => {
  const written: NewPublication[] = [];
  for (const { reader, publication: part } of partsOf(publication, size)) {
    written.push({ readers: [reader], json: JSON.stringify(part) });
    await breathe();
  }
  return written;
};
