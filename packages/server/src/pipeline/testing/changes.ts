// A change as the database has it, for tests.
import type { CommitSha } from '@eka-ci/core/ids';
import type { StoredChange } from '../../database/database.ts';

export const queuedChange = (id: string, more: Partial<StoredChange> = {}): StoredChange => ({
  id,
  kind: 'branch',
  repository: 'example/packages',
  number: 7,
  branch: 'update-openssl',
  baseBranch: null,
  base: 'b'.repeat(40) as CommitSha,
  head: 'a'.repeat(40) as CommitSha,
  judgedTree: null,
  title: 'openssl: 3.5 -> 3.6',
  state: 'queued',
  createdAtMs: 1000,
  updatedAtMs: 1000,
  conclusion: null,
  fault: null,
  summaryJson: null,
  markdown: null,
  requestJson: null,
  faults: 0,
  retryAtMs: null,
  approved: false,
  ...more,
});
