// The id of a jobset that is kept: the database gives it, and nothing else means anything.
import type { Brand } from '@eka-ci/core/ids';

export type JobsetId = Brand<number, 'JobsetId'>;
