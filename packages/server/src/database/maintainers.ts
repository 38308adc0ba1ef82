// The port's maintainers: who the server itself holds to maintain a package, who wants to, and what changes touch. Part
// of database.ts.

/** Told apart by host, attribute and user id. */
export interface AttrMaintainer {
  /** Of the forge. */
  readonly host: string;
  /** As jobs name it. */
  readonly attr: string;
  /** The forge's. */
  readonly userId: number;
  /** As of then; for people alone. */
  readonly login: string;
  /** Login of an admin, or `operator`. */
  readonly grantedBy: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export type MaintainerRequestState = 'pending' | 'granted' | 'refused';

export interface MaintainerRequest {
  readonly id: number;
  readonly host: string;
  readonly attr: string;
  readonly userId: number;
  readonly login: string;
  readonly state: MaintainerRequestState;
  /** Milliseconds since 1970. */
  readonly askedAtMs: number;
  /** Null while it is pending. */
  readonly decidedBy: string | null;
  readonly decidedAtMs: number | null;
}

export interface Maintainers {
  /** Idempotent: what was said first stays. @returns false where it was said before */
  add(maintainer: AttrMaintainer): Promise<boolean>;
  /** @returns false where there was none */
  remove(of: Pick<AttrMaintainer, 'host' | 'attr' | 'userId'>): Promise<boolean>;
  /** By user id. */
  of(attr: string): Promise<readonly AttrMaintainer[]>;
  /** Attributes of one person, in order. */
  attrsOf(host: string, userId: number): Promise<readonly string[]>;
  /** One that is pending, or granted and in force, is given back as it is. Null: they have too many pending. */
  request(
    asked: Pick<MaintainerRequest, 'host' | 'attr' | 'userId' | 'login' | 'askedAtMs'>,
  ): Promise<MaintainerRequest | null>;
  /** Newest first, at most 1000; all states and people where absent. */
  requests(which: {
    readonly state?: MaintainerRequestState;
    readonly host?: string;
    readonly userId?: number;
  }): Promise<readonly MaintainerRequest[]>;
  /** A granted one is a maintainer by that. Null for an unknown id; what was decided before stays as it is. */
  decide(
    id: number,
    decision: {
      readonly state: 'granted' | 'refused';
      readonly by: string;
      readonly atMs: number;
    },
  ): Promise<MaintainerRequest | null>;
  /** What a change touches and whose that is, as JSON text; parsed by whoever knows its schema. */
  keepPackages(changeId: string, packagesJson: string): Promise<void>;
  /** Null where nothing is kept. */
  packagesOf(changeId: string): Promise<string | null>;
  /** Of changes that are gone. @returns how many */
  forgetPackages(): Promise<number>;
}
