// Who is given the forge's token for what: a private repository, for private ones of the same owner that its base locks.
import type { LockedInput } from '@eka-ci/nix/locked-inputs/locked-input';
import { type ForgeSource, type HostedForge, hostedName } from '../../forge/hosted-forge.ts';
import { isForgeFault } from '../hosted/hosted-fault.ts';

/** A repository of a forge, for which something is fetched. */
export interface InputReader {
  readonly forge: HostedForge;
  /** `owner/repo` */
  readonly repository: string;
}

export type PrivateAccess =
  | { readonly kind: 'granted'; readonly url: string; readonly authorization: string }
  /** `why` continues a sentence that says what went wrong without it; null where there is nothing to say. */
  | { readonly kind: 'denied'; readonly why: string | null };

export interface PrivateInputs {
  /** Unlike for whoever may not be given the same. */
  readonly key: string;
  /**
   * For what could not be had without credentials: the input itself, or another repository that it needs.
   * @throws the signal's reason
   */
  ask(
    asked: { readonly input: LockedInput; readonly url: string; readonly of: ForgeSource['of'] },
    signal: AbortSignal,
  ): Promise<PrivateAccess>;
}

export interface PrivateInputsDeps {
  /** Whether what was judged of the repository is shown to those alone who may read it. @param name with its forge's host */
  readonly isHidden: (name: string) => boolean;
}

export interface ReadingChange {
  readonly reader: InputReader;
  /** What is locked by somebody who may write to the repository: on the branch that the change would join. */
  readonly vouched: readonly LockedInput[];
  /** Of that: another where it is other inputs. */
  readonly key: string;
}

const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();
const ownerOf = (repository: string): string => repository.slice(0, repository.indexOf('/'));

interface Wanted {
  readonly input: LockedInput;
  readonly source: ForgeSource;
}

/** The base locks that repository, whatever commit of it; or it locks the very same content, and so what that needs. */
const createVouching = ({ reader: { forge }, vouched }: ReadingChange): ((wanted: Wanted) => boolean) => {
  const sources = vouched.flatMap(({ url }) => forge.findSource(url) ?? []);
  const named = new Set(sources.map(({ repository }) => repository.toLowerCase()));
  return ({ input, source }) =>
    named.has(source.repository.toLowerCase()) ||
    vouched.some(
      ({ url, commit, storePath }) =>
        url === input.url && commit === input.commit && storePath === input.storePath,
    );
};

const denied = (why: string | null): PrivateAccess => ({ kind: 'denied', why });

/** What is told of a repository is the same whether there is one or not. */
const reasons = {
  public: 'and for a repository that is public itself nothing is fetched with credentials',
  owner: (owner: string) => `and with credentials only repositories of ${owner} are fetched`,
  vouched: (repository: string) =>
    `and ${repository} is fetched with credentials only when a lock file of the base branch names it: lock it there first`,
  app: (repository: string) =>
    `and the app may not read ${repository}: install it there, and let its permissions in github_apps name it`,
} as const;

/** Null where it is private on the forge, too: what is told here may be older than that. */
const denialNow = async (
  { forge, repository }: InputReader,
  signal: AbortSignal,
): Promise<PrivateAccess | null> => {
  const now = await forge.findRepository({ id: 0, name: repository }, signal);
  return now?.isPrivate === true ? null : denied(reasons.public);
};

export const createPrivateInputs = (
  { isHidden }: PrivateInputsDeps,
  change: ReadingChange,
): PrivateInputs => {
  const { forge, repository } = change.reader;
  const name = hostedName(forge.host, repository);
  const isVouchedFor = createVouching(change);
  let now: Promise<PrivateAccess | null> | null = null;
  /** Asked once, unless no answer came. */
  const denialOnce = (signal: AbortSignal): Promise<PrivateAccess | null> => {
    now ??= denialNow(change.reader, signal).catch((error: unknown) => {
      now = null;
      throw error;
    });
    return now;
  };
  const grant = async (source: ForgeSource, signal: AbortSignal): Promise<PrivateAccess> => {
    const access = await forge.sourceAccess(source, repository, signal);
    return access === null
      ? denied(reasons.app(source.repository))
      : { kind: 'granted', url: source.url, authorization: access.authorization };
  };
  return {
    key: `${name} ${change.key}`,
    async ask({ input, url, of }, signal) {
      const source = forge.findSource(url);
      if (source?.of !== of) return denied(null);
      if (!isHidden(name)) return denied(reasons.public);
      const owner = ownerOf(repository);
      if (!isSame(ownerOf(source.repository), owner)) return denied(reasons.owner(owner));
      if (!isVouchedFor({ input, source })) return denied(reasons.vouched(source.repository));
      try {
        return (await denialOnce(signal)) ?? (await grant(source, signal));
      } catch (error) {
        signal.throwIfAborted();
        if (!isForgeFault(error)) throw error;
        return denied(`and its forge could not be asked for leave to read it (${error.code})`);
      }
    },
  };
};
