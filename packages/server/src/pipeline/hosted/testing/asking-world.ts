// An intake whose forge has people with rights, who comment, review and press buttons.
import type { Database, StoredChange } from '../../../database/database.ts';
import type { ForgeEvent, ForgeUser } from '../../../forge/forge-event.ts';
import type { FakeHostedForge } from '../../../forge/hosted-forge.fake.ts';
import { hostedName } from '../../../forge/hosted-forge.ts';
import { type AskedOnForge, createApprovalActs } from '../../approval/approval-acts.ts';
import { createApprovalPolicy } from '../../approval/approval-policy.ts';
import { createCommentAct } from '../../commands/comment-act.ts';
import type { MergeDesk } from '../../merging/merge-desk.ts';
import { createChangeRights } from '../../people/change-rights.ts';
import type { RebuildChange } from '../../rebuild-answer.ts';
import { actBy } from '../act.ts';
import { newOffer, openWorld, type World } from './intake-world.ts';

export const people = {
  /** Offers changes, and may write nowhere. */
  bob: { id: 7, login: 'bob', isPerson: true },
  /** May write to `owner/set`. */
  carol: { id: 8, login: 'carol', isPerson: true },
  dave: { id: 9, login: 'dave', isPerson: true },
} satisfies Record<string, ForgeUser>;

export interface AskingWorld extends World {
  readonly asked: AskedOnForge[];
  /** Of `owner/set`; its number is 1 unless another was opened. */
  row(number?: number): Promise<StoredChange>;
  offer(number: number, more?: Parameters<typeof newOffer>[1]): Promise<void>;
  /** @returns the comment's id */
  comment(
    by: ForgeUser,
    text: string,
    more?: { readonly id?: number; readonly atMs?: number },
  ): Promise<number>;
  /** Of the newest row of change 1. */
  happen(event: HappeningOf): Promise<void>;
}

type Happening = Extract<ForgeEvent, { repository: unknown }>;
type HappeningOf = Happening extends infer Event
  ? Event extends unknown
    ? Omit<Event, 'repository'>
    : never
  : never;

export interface AskingWorldOptions {
  /** @default false */
  readonly requireApproval?: boolean;
  readonly merges: MergeDesk;
  readonly rebuild: RebuildChange;
  readonly trustedBots?: readonly string[];
}

let comments = 1000;

export const openAskingWorld = async (
  database: Database,
  { requireApproval = false, merges, rebuild, trustedBots = [] }: AskingWorldOptions,
): Promise<AskingWorld> => {
  // It is made with the world, which is made with what asks it.
  const forges: FakeHostedForge[] = [];
  const rights = createChangeRights({ forges, database, clock: () => world.time.clock() });
  const asked: AskedOnForge[] = [];
  const deps = {
    ...{ database, rights, merges, rebuild },
    clock: () => world.time.clock(),
    onAsked: (one: AskedOnForge) => void asked.push(one),
  };
  const approval = createApprovalPolicy({ approvals: database.approvals, rights, trustedBots });
  const world: World = await openWorld(database, {
    act: actBy({ ...createApprovalActs(deps), 'comment-created': createCommentAct(deps) }),
    ...(requireApproval && { approval }),
  });
  forges.push(world.forge);
  const { repository, changes } = world.forge.addRepository('owner/set');
  world.forge.rights.set('owner/set carol', 'write');
  await world.intake().start();
  const happen = async (event: HappeningOf): Promise<void> => {
    await world.deliver({ ...event, repository });
    await world.settle();
  };
  return {
    ...world,
    asked,
    happen,
    async row(number = 1) {
      const row = await database.changes.findByNumber(hostedName(world.forge.host, 'owner/set'), number);
      if (row === null) throw new Error(`there is no change ${number}`);
      return row;
    },
    async offer(number, more) {
      const change = newOffer(number, { author: people.bob, ...more });
      changes.set(number, change);
      await happen({ kind: 'change-opened', isNew: true, by: change.author, change });
    },
    async comment(by, text, { id = comments++, atMs = world.time.clock() } = {}) {
      const said = { commentId: id, author: by, text, createdAtMs: atMs };
      await happen({ kind: 'comment-created', changeNumber: 1, by, ...said });
      return id;
    },
  };
};
