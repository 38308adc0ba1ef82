// Why a build ended as it did, in the words of the wire.
import { z } from 'zod';

/** Why one did not succeed. */
export const FailedBuildCause = z.enum([
  'builder-exit',
  'missing-output',
  'hash-mismatch',
  'output-rejected',
  'not-deterministic',
  'invalid-derivation',
  'network',
  'lost-builder',
  'out-of-memory',
  'disk-full',
  'process-death',
  'timeout',
  'max-duration',
  'log-limit',
  'cancelled',
  'scheduler-death',
]);

/** Why it is in the state that it is in. */
export const BuildCause = z.enum(['built', 'substituted', 'already-valid', ...FailedBuildCause.options]);
