// What operators can have done, as the routes ask for it.
import type { DrvPath } from '@eka-ci/core/ids';
import type { BuildOrder, OrderedBuild } from '@eka-ci/protocol/build-request';
import type { Logger } from '../lib/logger.ts';
import type { OrderedBuilds } from '../pipeline/builds/ordered-builds.ts';

/** One write, for the server's log. */
export interface AuditedAction {
  /** As `nameOfCaller` gives it. */
  readonly who: string;
  readonly action:
    | 'cancel'
    | 'approve'
    | 'disapprove'
    | 'rejudge'
    | 'build'
    | 'rebuild'
    | 'submit'
    | 'drain'
    | 'undrain'
    | 'backup'
    | 'push-again'
    | 'promote'
    | 'demote'
    | 'sign-in'
    | 'make-token'
    | 'remove-token'
    | 'auto-merge'
    | 'withdraw-merge'
    | 'add-maintainer'
    | 'remove-maintainer'
    | 'grant-maintainer'
    | 'refuse-maintainer';
  /** A change by its number, a review by its id, a derivation by its path, somebody by their login; else in words. */
  readonly subject: string;
  /** False where there was nothing to do. */
  readonly effective: boolean;
}

export type OrderAnswer =
  | { readonly kind: 'accepted'; readonly build: OrderedBuild }
  /** It has no such file, so nothing is known of what it needs. */
  | { readonly kind: 'not-in-store' }
  /** Another order has that id. */
  | { readonly kind: 'id-taken' }
  /** So many wait already that this one is not taken. */
  | { readonly kind: 'too-many' };

export interface OperatorActions {
  /** Ends the judgement of this change where it runs now, and shows that it waits no more. */
  stopJudging(changeId: string): void;
  /** Some change waits to be judged. */
  wake(): void;
  /** Idempotent by the order's id. What it accepted is carried out, also after a crash. */
  orderBuild(drv: DrvPath, order: BuildOrder): Promise<OrderAnswer>;
  /** Null for an unknown id, and for one that was done long ago. */
  findOrder(id: string): OrderedBuild | null;
  audit(action: AuditedAction): void;
}

export interface OperatorActionsDeps {
  readonly orders: Pick<OrderedBuilds, 'order' | 'find'>;
  /** @throws StoreQueryError */
  readonly isInStore: (drv: DrvPath) => Promise<boolean>;
  readonly stopJudging: OperatorActions['stopJudging'];
  readonly wake: OperatorActions['wake'];
  readonly logger: Logger;
}

export const createOperatorActions = (deps: OperatorActionsDeps): OperatorActions => ({
  stopJudging: deps.stopJudging,
  wake: deps.wake,
  findOrder: (id) => deps.orders.find(id),
  async orderBuild(drv, order) {
    if (!(await deps.isInStore(drv))) return { kind: 'not-in-store' };
    const ordered = await deps.orders.order({ ...order, drv });
    if (ordered.kind === 'accepted') deps.wake();
    return ordered;
  },
  // Node does not tell who is at the other end of a unix socket: whoever can open it is the operator.
  audit: (action) => deps.logger.info('somebody asked', { ...action }),
});
