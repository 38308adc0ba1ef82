// One machine that builds for this server: what its line in Nix's machines file says.

export interface Machine {
  /** For people and metrics: its host, and what tells it from other lines with the same one. */
  readonly name: string;
  /** `far`, `10.0.0.7` or `fe80::1`, without brackets; never begins with a dash. */
  readonly host: string;
  readonly user: string | null;
  readonly port: number | null;
  /** Of a private key file, as ssh takes it; null for those that ssh finds itself. */
  readonly identityFile: string | null;
  /** As a line of known_hosts has it behind the host: `ssh-ed25519 AAAA…`; null where ssh knows it. */
  readonly hostKey: string | null;
  /** Null for the system of this server. */
  readonly systems: readonly string[] | null;
  /** 1 to 1024. */
  readonly maxJobs: number;
  /** More than 0. */
  readonly speed: number;
  /** The mandatory ones among them. */
  readonly features: readonly string[];
  /** It builds only what asks for all of these. */
  readonly mandatoryFeatures: readonly string[];
  /** What ssh carries is compressed. */
  readonly compress: boolean;
  /** In place of `nix-daemon`: a program there, and its first arguments. */
  readonly remoteProgram: readonly string[] | null;
  /** The store that the daemon there opens, in Nix's words. */
  readonly remoteStore: string | null;
}
