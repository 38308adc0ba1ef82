// What a caller may see of private repositories: found out once for each request, whatever it asks for, so that the time an
// answer takes does not tell what there is.
import type { DrvPath } from '@eka-ci/core/ids';
import type { Caller, UserCaller } from '../../auth/caller.ts';
import { isAside } from '../../database/repositories.ts';
import { isForgeFault } from '../../pipeline/hosted/hosted-fault.ts';
import type { ChangeRights } from '../../pipeline/people/change-rights.ts';
import type { OwnerKey, PrivateOwner, Visible } from '../../pipeline/privacy/visibility.ts';

/** Cheap: it reads memory. */
export interface Reader {
  /** Nothing is hidden from it now. */
  seesAll(): boolean;
  /**
   * @param repository under which its changes are kept: `github.com/owner/repo`
   * @param repositoryId whose they are, where they say so
   */
  maySee(repository: string, repositoryId?: number): boolean;
  maySeeDrv(drv: DrvPath): boolean;
  /** Names under which changes are kept that it may not see. */
  hidden(): readonly string[];
}

export interface ReadersDeps {
  readonly visible: Visible;
  readonly rights: Pick<ChangeRights, 'mayRead' | 'epoch'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface Readers {
  /** Sees what everybody may see. */
  readonly anybody: Reader;
  /** As their forges say now. Where a forge does not say, they may not. */
  of(caller: Caller): Promise<Reader>;
}

const createReader = (visible: Visible, mayRead: (owner: OwnerKey) => boolean): Reader => {
  const maySee = (repository: string, repositoryId?: number): boolean => {
    const owner = visible.ownerOf(repository, repositoryId);
    return owner === null || mayRead(owner);
  };
  return {
    seesAll() {
      const owners = visible.owners();
      return owners.length === 0 ? !visible.hidesDerivations() : owners.every(({ key }) => mayRead(key));
    },
    maySee,
    maySeeDrv: (drv) => visible.ownersOf(drv)?.some(mayRead) ?? true,
    hidden: () => [
      ...visible.aside(),
      ...visible.owners().flatMap(({ key, keptNames }) => (mayRead(key) ? [] : keptNames)),
    ],
  };
};

/** Of somebody who is to see all. */
const all: Reader = { seesAll: () => true, maySee: () => true, maySeeDrv: () => true, hidden: () => [] };

/** Longer than a forge takes; somebody waits for it. */
const forgeTimeoutMs = 3000;
const askedAtOnce = 16;
/** Once it is known. Also after a fault: not each request waits for a forge that is away. */
const believedMs = 4000;
const mostRemembered = 1000;

interface Remembered {
  readonly readable: Promise<ReadonlySet<OwnerKey>>;
  /** Null while it is asked. */
  untilMs: number | null;
  readonly epoch: number;
}

type Person = Pick<UserCaller, 'host' | 'id' | 'login'>;

const createReadable = ({ visible, rights }: ReadersDeps) => {
  const mayRead = async (user: Person, owner: PrivateOwner, signal: AbortSignal) => {
    const { host, name, repositoryId } = owner;
    try {
      return await rights.mayRead({ host, repository: name, repositoryId }, user, signal);
    } catch (cause) {
      if (!isForgeFault(cause) && !signal.aborted) throw cause;
      return false;
    }
  };
  return async (user: Person): Promise<ReadonlySet<OwnerKey>> => {
    const owners = visible.owners().filter(({ host, name }) => host === user.host && !isAside(name));
    const signal = AbortSignal.timeout(forgeTimeoutMs);
    const readable = new Set<OwnerKey>();
    const left = owners.values();
    const askSome = async (): Promise<void> => {
      for (const owner of left) if (await mayRead(user, owner, signal)) readable.add(owner.key);
    };
    await Promise.all(Array.from({ length: Math.min(askedAtOnce, owners.length) }, askSome));
    return readable;
  };
};

/** What each was found to be able to read, for a moment. */
const createMemory = ({ rights, clock, ...deps }: ReadersDeps) => {
  const readableOf = createReadable({ rights, clock, ...deps });
  const remembered = new Map<string, Remembered>();
  const isGood = ({ untilMs, epoch }: Remembered): boolean => {
    if (epoch !== rights.epoch()) return false;
    if (untilMs === null) return true;
    const leftMs = untilMs - clock();
    return leftMs > 0 && leftMs <= believedMs;
  };
  const keep = (key: string, now: Remembered): void => {
    remembered.delete(key);
    for (const oldest of remembered.keys()) {
      if (remembered.size < mostRemembered) break;
      remembered.delete(oldest);
    }
    remembered.set(key, now);
  };
  return (user: Person): Promise<ReadonlySet<OwnerKey>> => {
    const key = JSON.stringify([user.host, user.id, user.login]);
    const known = remembered.get(key);
    if (known !== undefined && isGood(known)) return known.readable;
    const now: Remembered = { readable: readableOf(user), untilMs: null, epoch: rights.epoch() };
    now.readable.then(
      () => {
        now.untilMs = clock() + believedMs;
      },
      () => {
        if (remembered.get(key) === now) remembered.delete(key);
      },
    );
    keep(key, now);
    return now.readable;
  };
};

export const createReaders = (deps: ReadersDeps): Readers => {
  const { visible } = deps;
  const anybody = createReader(visible, () => false);
  const readableTo = createMemory(deps);
  return {
    anybody,
    async of(caller) {
      if (caller.kind === 'socket' || (caller.kind === 'user' && caller.isAdmin)) return all;
      if (caller.kind === 'anonymous' || visible.owners().length === 0) return anybody;
      const readable = await readableTo(caller);
      return createReader(visible, (owner) => readable.has(owner));
    },
  };
};
