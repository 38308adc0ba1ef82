// Whether a change must wait until somebody lets it go: whoever may write to the repository need not ask anybody.
import type { Database } from '../../database/database.ts';
import type { OfferedChange } from '../../forge/forge-event.ts';
import type { HostedForge } from '../../forge/hosted-forge.ts';
import { mayPass } from '../hosted/hosted-fault.ts';
import type { ChangeRights } from '../people/change-rights.ts';

export interface ForgePlace {
  readonly forge: Pick<HostedForge, 'kind' | 'host'>;
  /** `owner/repo` */
  readonly repository: string;
}

export interface ApprovalPolicy {
  /** Of this head, as long as nobody has approved it. @throws HostedForgeFault that may pass, DatabaseError */
  awaits(place: ForgePlace, change: Pick<OfferedChange, 'author'>, signal: AbortSignal): Promise<boolean>;
}

export interface ApprovalPolicyDeps {
  readonly approvals: Pick<Database['approvals'], 'isApproved'>;
  readonly rights: Pick<ChangeRights, 'mayWrite'>;
  /** `forge:login`, as `github:dependabot[bot]`: authors whose changes need no approval. */
  readonly trustedBots: readonly string[];
}

export const createApprovalPolicy = (deps: ApprovalPolicyDeps): ApprovalPolicy => {
  const { approvals, rights } = deps;
  const trusted = new Set(deps.trustedBots.map((name) => name.toLowerCase()));
  return {
    async awaits({ forge, repository }, { author }, signal) {
      // Nobody stands for it any more.
      if (author === null) return true;
      if (trusted.has(`${forge.kind}:${author.login.toLowerCase()}`)) return false;
      const { host } = forge;
      if (await approvals.isApproved({ host, userId: author.id })) return false;
      try {
        return !(await rights.mayWrite({ host, repository }, author, signal));
      } catch (error) {
        if (signal.aborted || mayPass(error)) throw error;
        // The forge will not tell: then they are nobody whom we know.
        return true;
      }
    },
  };
};
