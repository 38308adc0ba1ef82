// The port's publications: what judgements hand on to caches and to hooks. Part of database.ts.

export const publicationReaders = ['pushes', 'hooks'] as const;
export type PublicationReader = (typeof publicationReaders)[number];

/** A part of what a judgement hands on: few enough bytes that to read one keeps nobody waiting. */
export interface NewPublication {
  /** Who has something to do with it; one at least. */
  readonly readers: readonly PublicationReader[];
  /** JSON text; parsed by whoever knows its schema. Read and taken by itself: it needs no other part. */
  readonly json: string;
}

export interface StoredPublication {
  /** In the order in which they were kept; of one judgement in the order of its parts. */
  readonly id: number;
  readonly changeId: string;
  /** Under which the change is kept by now; null where it is forgotten. */
  readonly repository: string | null;
  readonly json: string;
  /** Milliseconds since 1970: when its change was judged. */
  readonly atMs: number;
}

/** Each is read at least once: whoever reads one writes down what follows from it, idempotently, and then takes it. */
export interface Publications {
  /** Oldest first: those that this reader has not taken. @param limit from 1 to 1000 */
  waiting(reader: PublicationReader, limit: number): Promise<readonly StoredPublication[]>;
  /** Idempotent. It is gone when the last of its readers has taken it. */
  taken(reader: PublicationReader, id: number): Promise<void>;
}
