// What the routes are told of the server's upkeep, and may ask of it.

export interface DiskSpace {
  /** For people, for example `the Nix store`. */
  readonly name: string;
  /** Null where it could not be read. */
  readonly freeBytes: number | null;
}

/** How much retention has removed since the start. */
export interface RemovedThings {
  readonly logs: number;
  readonly logBytes: number;
  readonly roots: number;
  readonly outputRoots: number;
  readonly mirrors: number;
  readonly workFolders: number;
  readonly changes: number;
  readonly jobsets: number;
  readonly deliveries: number;
  readonly sweeps: number;
  readonly faults: number;
}

export interface HttpUpkeep {
  /** Why nothing begins now, one clause each. */
  warnings(): Promise<readonly string[]>;
  readDisks(): Promise<readonly DiskSpace[]>;
  /** Null where nothing is ever removed. */
  removed(): RemovedThings | null;
  /** `retention.build_log_days`; null where logs are not removed. */
  readonly logDays: number | null;
  readonly drain: {
    isDraining(): boolean;
    /** True when nothing runs and nothing is being judged any more. */
    isDry(): boolean;
    start(): void;
    undo(): void;
  };
  readonly backup: {
    /** Private, and on the disk of the database. */
    readonly folder: string;
    /** Writes a copy of the database to a file that is not there yet. @throws DatabaseError */
    write(path: string): Promise<void>;
  };
}
