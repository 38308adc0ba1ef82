// A change as clients are told of it.
import type { Change } from '@eka-ci/protocol/change';
import type { ChangeListing } from '../database/database.ts';

export const changeOnWire = (change: ChangeListing): Change => ({
  id: change.id,
  kind: change.kind,
  repository: change.repository,
  number: change.number,
  branch: change.branch,
  baseBranch: change.baseBranch,
  title: change.title,
  state: change.state,
  baseSha: change.base,
  headSha: change.head,
  judgedTree: change.judgedTree,
  conclusion: change.conclusion,
  fault: change.fault,
  retryAtMs: change.retryAtMs,
  approved: change.approved,
  createdAtMs: change.createdAtMs,
  updatedAtMs: change.updatedAtMs,
});
