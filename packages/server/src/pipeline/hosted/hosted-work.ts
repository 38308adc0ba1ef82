// What follows from what was told: where to look, what ends, or nothing.
import type { CommitSha } from '@eka-ci/core/ids';
import type { EventRepository, ForgeAccessEvent, ForgeRepositoryId } from '../../forge/forge-event.ts';
import { changeIdOfGate, checkNameOfGate } from '../report/change-gates.ts';
import type { ActEvent } from './act.ts';
import type { HostedPayload, Sight } from './hosted-delivery.ts';
import { nameOfSight } from './look.ts';
import { sightOfGroup } from './look-at-group.ts';
import { laneOf } from './repository-names.ts';

/** Whose open changes end: of some repositories, or all of an account. */
export type Ended =
  | { readonly kind: 'repositories'; readonly repositories: readonly ForgeRepositoryId[] }
  | { readonly kind: 'account'; readonly account: string };

export type HostedWork =
  | { readonly kind: 'look'; readonly sight: Sight }
  | { readonly kind: 'end'; readonly ended: Ended }
  /** What we may reach has changed: everything is looked at. */
  | { readonly kind: 'sweep' }
  | { readonly kind: 'renamed'; readonly repository: EventRepository; readonly oldName: string }
  /** Somebody wants a commit judged again: as that change, or as all that it is the head of. */
  | {
      readonly kind: 'again';
      readonly repository: EventRepository;
      readonly headSha: CommitSha;
      readonly changeId: string | null;
      /** Of that change: it is run once more, whatever came of it. @default only what did not pass */
      readonly check?: string;
    }
  /** Somebody asks for something. */
  | { readonly kind: 'act'; readonly event: ActEvent }
  | { readonly kind: 'nothing' };

export interface PlacedWork {
  /** What shares one is done one after the other. */
  readonly lane: string;
  /** What shares it too is done once. */
  readonly name: string;
  readonly work: HostedWork;
}

/** Of what asks no forge, or is of no one repository: none of those has this name. */
const ownLane = '';

/** What was told of a group tells more than the sight of it, and must not be lost where both wait. */
const toldOf = (sight: Sight): string =>
  sight.kind === 'seen-group' ? ` ${sight.told?.headSha ?? ''} ${sight.endedSha ?? ''}` : '';

export const lookWork = (sight: Sight): PlacedWork => ({
  lane: laneOf(sight.repository),
  name: `${nameOfSight(sight)}${toldOf(sight)}`,
  work: { kind: 'look', sight },
});

const own = (work: HostedWork, name: string): PlacedWork => ({ lane: ownLane, name, work });

const end = (ended: Ended): PlacedWork => own({ kind: 'end', ended }, `end ${JSON.stringify(ended)}`);

const again = (work: Extract<HostedWork, { kind: 'again' }>): PlacedWork => ({
  lane: laneOf(work.repository),
  name: `again ${JSON.stringify([work.headSha, work.changeId, ...(work.check === undefined ? [] : [work.check])])}`,
  work,
});

const workOfAccess = (event: ForgeAccessEvent): PlacedWork => {
  switch (event.kind) {
    case 'access-given':
    case 'access-resumed':
    case 'access-rights-changed':
      return own({ kind: 'sweep' }, 'sweep');
    case 'access-ended':
    case 'access-suspended':
      return end({ kind: 'account', account: event.account });
    case 'repositories-changed':
      // Also where some were added: what ends is followed by a sweep.
      return end({ kind: 'repositories', repositories: event.removed });
  }
};

/** Pure. */
export const workOf = (payload: HostedPayload): PlacedWork => {
  switch (payload.kind) {
    case 'seen-change':
    case 'seen-branch':
    case 'seen-group':
      return lookWork(payload);
    case 'change-opened':
    case 'change-moved':
    case 'change-closed':
    case 'change-draft':
    case 'change-base-changed': {
      const { repository, change } = payload;
      return lookWork({ kind: 'seen-change', repository, number: change.number });
    }
    case 'branch-pushed': {
      const { repository, branch } = payload;
      return lookWork({ kind: 'seen-branch', repository, branch });
    }
    case 'merge-group-requested':
    case 'merge-group-destroyed':
      return lookWork(sightOfGroup(payload));
    case 'repository-deleted':
      return end({ kind: 'repositories', repositories: [payload.repository] });
    case 'repository-renamed':
    case 'repository-transferred': {
      const { repository, oldName } = payload;
      const name = `renamed ${JSON.stringify([oldName, repository.name])}`;
      return { lane: laneOf(repository), name, work: { kind: 'renamed', repository, oldName } };
    }
    case 'gates-rerun': {
      const { repository, headSha } = payload;
      return again({ kind: 'again', repository, headSha, changeId: null });
    }
    case 'gate-rerun': {
      const { repository, gate } = payload;
      const changeId = changeIdOfGate(gate.externalId ?? '');
      // None of ours.
      if (changeId === null) return own({ kind: 'nothing' }, 'nothing');
      const check = checkNameOfGate(gate.externalId ?? '');
      const wanted = { kind: 'again', repository, headSha: gate.headSha, changeId } as const;
      return again(check === null ? wanted : { ...wanted, check });
    }
    case 'access-given':
    case 'access-ended':
    case 'access-suspended':
    case 'access-resumed':
    case 'access-rights-changed':
    case 'repositories-changed':
      return workOfAccess(payload);
    case 'comment-created':
    case 'review-submitted':
    case 'review-dismissed':
    case 'gate-action':
    case 'outside-run-held':
    case 'outside-run-goes-on':
      return {
        lane: laneOf(payload.repository),
        // One that is told twice is done once.
        name: `act ${JSON.stringify(payload)}`,
        work: { kind: 'act', event: payload },
      };
    case 'repository-visibility':
      // Whether it is served may depend on that.
      return own({ kind: 'sweep' }, 'sweep');
    // Those who remember rights have heard of it.
    case 'rights-changed':
    case 'ping':
      return own({ kind: 'nothing' }, 'nothing');
  }
};

/** For people. */
export const describeWork = (work: HostedWork): string => {
  switch (work.kind) {
    case 'look': {
      const { sight } = work;
      const what = sight.kind === 'seen-change' ? `change ${sight.number}` : `branch ${sight.branch}`;
      return `${what} of ${sight.repository.name}`;
    }
    case 'end': {
      const { ended } = work;
      return `the end of ${ended.kind === 'account' ? ended.account : ended.repositories.map(({ name }) => name).join(', ')}`;
    }
    case 'renamed':
      return `${work.oldName} is ${work.repository.name} now`;
    case 'sweep':
      return 'what may be reached';
    case 'again':
      return `${work.headSha.slice(0, 12)} of ${work.repository.name}, once more`;
    case 'act':
      return `${work.event.kind} in ${work.event.repository.name}`;
    case 'nothing':
      return 'what is not acted on';
  }
};
