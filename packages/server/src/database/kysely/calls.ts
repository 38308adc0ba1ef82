// Every request that reaches the database: plain data in, plain data out, one transaction each. The port is made
// of these in port.ts; between the two there may be a thread.
import { type ApprovalCalls, approvalCalls } from './approvals.ts';
import { type BuildCalls, buildCalls } from './builds.ts';
import { type ChangeCalls, changeCalls } from './changes.ts';
import { type CheckRunCalls, checkRunCalls } from './check-runs.ts';
import { type DeliveryCalls, deliveryCalls } from './deliveries.ts';
import { type DerivationCalls, derivationCalls } from './derivations.ts';
import { type FailureCalls, failureCalls } from './failures.ts';
import { type GateCalls, gateCalls } from './gates.ts';
import { type HookRunCalls, hookRunCalls } from './hook-runs.ts';
import { type JobsetCalls, jobsetCalls } from './jobsets.ts';
import { type JudgingCalls, judgingCalls } from './judging.ts';
import { type MaintainerCalls, maintainerCalls } from './maintainers.ts';
import { type MergeCalls, mergeCalls, type ReviewCalls, reviewCalls } from './merges.ts';
import { type MetaCalls, metaCalls } from './meta.ts';
import { type PackageCalls, packageCalls } from './package-builds.ts';
import { type PrivacyCalls, privacyCalls } from './privacy.ts';
import { type PublicationCalls, publicationCalls } from './publications.ts';
import { type PushCalls, pushCalls } from './pushes.ts';
import { type RepositoryCalls, repositoryCalls } from './repositories.ts';
import { type RequestCalls, requestCalls } from './requests.ts';
import type { Session } from './session.ts';
import { type UserCalls, userCalls } from './users.ts';

export interface Calls {
  readonly meta: MetaCalls;
  readonly derivations: DerivationCalls;
  readonly builds: BuildCalls;
  readonly packages: PackageCalls;
  readonly jobsets: JobsetCalls;
  readonly changes: ChangeCalls;
  readonly judging: JudgingCalls;
  readonly requests: RequestCalls;
  readonly failures: FailureCalls;
  readonly deliveries: DeliveryCalls;
  readonly gates: GateCalls;
  readonly merges: MergeCalls;
  readonly reviews: ReviewCalls;
  readonly maintainers: MaintainerCalls;
  readonly users: UserCalls;
  readonly approvals: ApprovalCalls;
  readonly repositories: RepositoryCalls;
  readonly hookRuns: HookRunCalls;
  readonly privacy: PrivacyCalls;
  readonly publications: PublicationCalls;
  readonly checkRuns: CheckRunCalls;
  readonly pushes: PushCalls;
}

export const createCalls = (session: Session): Calls => ({
  meta: metaCalls(session),
  derivations: derivationCalls(session),
  builds: buildCalls(session),
  packages: packageCalls(session),
  jobsets: jobsetCalls(session),
  changes: changeCalls(session),
  judging: judgingCalls(session),
  requests: requestCalls(session),
  failures: failureCalls(session),
  deliveries: deliveryCalls(session),
  gates: gateCalls(session),
  merges: mergeCalls(session),
  reviews: reviewCalls(session),
  maintainers: maintainerCalls(session),
  users: userCalls(session),
  approvals: approvalCalls(session),
  repositories: repositoryCalls(session),
  hookRuns: hookRunCalls(session),
  privacy: privacyCalls(session),
  publications: publicationCalls(session),
  checkRuns: checkRunCalls(session),
  pushes: pushCalls(session),
});
