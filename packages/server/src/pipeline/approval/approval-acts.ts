// The ways to let a change go on its forge: the button of its gate, an approving review, and the forge's own approval of
// a run for it. Comments are commands.
import type { ChangeListing, Database, StoredChange } from '../../database/database.ts';
import type { ForgeUser } from '../../forge/forge-event.ts';
import { hostedName } from '../../forge/hosted-forge.ts';
import type { Act, ActContext, ActEvent, Acts } from '../hosted/act.ts';
import type { ChangeRights } from '../people/change-rights.ts';
import { approveAction, changeIdOfGate } from '../report/change-gates.ts';
import { approveChange } from './approve-change.ts';

/** What somebody asked for by way of a forge, for the log. */
export interface AskedOnForge {
  readonly host: string;
  /** `owner/repo`; null where it is of none. */
  readonly repository: string;
  /** Null where the forge does not say. */
  readonly by: string | null;
  readonly action: string;
  /** `denied`: they have not the right. */
  readonly outcome: 'done' | 'nothing-to-do' | 'denied' | 'refused';
}

export interface ApprovalActsDeps {
  readonly database: Pick<Database, 'changes' | 'approvals'>;
  readonly rights: Pick<ChangeRights, 'mayWrite'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly onAsked: (asked: AskedOnForge) => void;
}

type Of<Kind extends ActEvent['kind']> = Extract<ActEvent, { kind: Kind }>;

interface Asked {
  readonly event: ActEvent;
  readonly context: ActContext;
  readonly by: ForgeUser | null;
  readonly action: string;
}

export const createApprovalActs = (deps: ApprovalActsDeps) => {
  const { database, rights, clock, onAsked } = deps;

  const tell = ({ event, context, by, action }: Asked, outcome: AskedOnForge['outcome']): void => {
    const { name: repository } = event.repository;
    onAsked({ host: context.forge.host, repository, by: by?.login ?? null, action, outcome });
  };
  const isAllowed = async (asked: Asked): Promise<boolean> => {
    const { event, context, by } = asked;
    const place = { host: context.forge.host, repository: event.repository.name };
    if (by !== null && (await rights.mayWrite(place, by, context.signal))) return true;
    tell(asked, 'denied');
    return false;
  };
  const approve = async (asked: Asked, change: ChangeListing) => {
    const approved = await approveChange(deps, change);
    tell(asked, approved.kind === 'approved' ? 'done' : 'nothing-to-do');
    if (approved.kind !== 'approved') return 'unchanged';
    const { repository, state } = approved.change;
    const queued = state === 'queued' ? [approved.change] : [];
    asked.context.taken({ repository, queued, awaiting: [], ended: [] });
    return 'applied';
  };
  const findOwn = async (
    { forge }: ActContext,
    { gate, repository }: Of<'gate-action'>,
  ): Promise<StoredChange | null> => {
    const id = changeIdOfGate(gate.externalId ?? '');
    const row = id === null ? null : await database.changes.find(id);
    const isOfIt = row?.repository === hostedName(forge.host, repository.name) && row.head === gate.headSha;
    return isOfIt ? row : null;
  };

  const pressed: Act<Of<'gate-action'>> = async (event, context) => {
    if (event.action !== approveAction) return 'not-acted-on';
    const row = await findOwn(context, event);
    if (row === null) return 'unchanged';
    const asked = { event, context, by: event.by, action: 'approve by a button' };
    return (await isAllowed(asked)) ? approve(asked, row) : 'unchanged';
  };
  const reviewed: Act<Of<'review-submitted'>> = async (event, context) => {
    const { change, repository, reviewer, reviewedSha, verdict } = event;
    if (verdict !== 'approved' || reviewedSha === null) return 'not-acted-on';
    const name = hostedName(context.forge.host, repository.name);
    const known = await database.changes.findByNumber(name, change.number);
    const row = known ?? (await context.lookAt(repository, change.number));
    if (row?.state !== 'awaiting-approval' || row.head !== reviewedSha) return 'unchanged';
    const asked = { event, context, by: reviewer, action: 'approve by a review' };
    return (await isAllowed(asked)) ? approve(asked, row) : 'unchanged';
  };
  const held: Act<Of<'outside-run-held'>> = async ({ runId }, { forge }) => {
    await database.approvals.holdRun({ host: forge.host, runId, atMs: clock() });
    return 'noted';
  };
  /** Only who may write can have let it go: the forge has looked at that. */
  const goesOn: Act<Of<'outside-run-goes-on'>> = async (event, context) => {
    const { runId, headSha, repository, by } = event;
    const run = { host: context.forge.host, runId };
    if (!(await database.approvals.isRunHeld(run))) return 'not-acted-on';
    const name = hostedName(run.host, repository.name);
    const waiting = (await database.changes.findByHead(headSha)).filter(
      (change) => change.repository === name && change.state === 'awaiting-approval',
    );
    const asked = { event, context, by, action: "approve by the forge's own approval" };
    for (const change of waiting) await approve(asked, change);
    await database.approvals.releaseRun(run);
    return waiting.length > 0 ? 'applied' : 'unchanged';
  };
  return {
    'gate-action': pressed,
    'review-submitted': reviewed,
    'outside-run-held': held,
    'outside-run-goes-on': goesOn,
  } satisfies Acts;
};
