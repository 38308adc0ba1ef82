// The tables as Kysely sees them. migrations/ makes them; this follows.
// Whole numbers are JavaScript numbers in every driver; flags are bits of one; times are milliseconds since 1970.

export interface Tables {
  counters: CounterTable;
  derivations: DerivationTable;
  derivation_dependents: DependentTable;
  builds: BuildTable;
  package_builds: PackageBuildTable;
  build_transitions: TransitionTable;
  jobsets: JobsetTable;
  jobset_chunks: JobsetChunkTable;
  changes: ChangeTable;
  change_failures: ChangeFailureTable;
  deliveries: DeliveryTable;
  gates: GateTable;
}

export interface CounterTable {
  name: string;
  /** The next number nobody has taken. */
  next_number: number;
}

export interface DerivationTable {
  id: number;
  path: string;
  /** See `stage` in packed-nodes.ts. */
  stage: number;
  /** This and all below: null for a placeholder. */
  system: string | null;
  /** See `flag` in packed-nodes.ts. */
  flags: number | null;
  /** JSON: names. */
  features: string | null;
  /** JSON: name, path, name, path, … */
  outputs: string | null;
  /** See stored-inputs.ts. */
  inputs: Uint8Array | null;
}

/** Reverse edges. Each save adds at most one row for an input: an edge of its own row would double the work. */
export interface DependentTable {
  input_id: number;
  /** The first of `dependents`; a derivation's inputs are written once, so this tells the rows apart. */
  first_dependent_id: number;
  /** See stored-inputs.ts. */
  dependents: Uint8Array;
}

interface BuildColumns {
  drv_id: number;
  attempt: number;
  cause: string | null;
  culprit_id: number | null;
  message: string | null;
  log_file: string | null;
  sequence: number;
}

export interface BuildTable extends BuildColumns {
  state: string;
  started_at_ms: number | null;
  finished_at_ms: number | null;
  /** Of the newest transition when its failure was cleared; null where it never was. */
  cleared_sequence: number | null;
}

export interface TransitionTable extends BuildColumns {
  from_state: string | null;
  to_state: string;
  at_ms: number;
}

/** See PackageHistory of the port. */
export interface PackageBuildTable {
  pname: string;
  system: string;
  /** 0 or 1. */
  fixed_output: number;
  /** JSON: durations of the newest builds in milliseconds, oldest first. */
  recent_ms: string;
  flaky_builds: number;
  flaky_at_ms: number | null;
  updated_at_ms: number;
}

export interface JobsetTable {
  id: number;
  /** SHA-256 of `key_json`; unique among complete ones. */
  digest: string;
  key_json: string;
  derivations: number;
  unavailable: number;
  failed: number;
  chunks: number;
  /** Null while records are still being added. */
  completed_at_ms: number | null;
}

export interface JobsetChunkTable {
  jobset_id: number;
  /** Counted from 0. */
  position: number;
  /** A JSON array of EvaluationRecord, deflated (raw). */
  records: Uint8Array;
}

export interface ChangeTable {
  id: string;
  /** A ChangeKind. */
  kind: string;
  repository: string;
  /** Empty where it is judged against nothing. */
  base_commit: string;
  head_commit: string;
  judged_tree: string | null;
  title: string;
  created_at_ms: number;
  conclusion: string | null;
  summary_json: string | null;
  /** In the order of arrival; never reused. */
  sequence: number;
  number: number;
  branch: string;
  state: string;
  updated_at_ms: number;
  fault: string | null;
  markdown: string | null;
  /** This and the next: null unless it is being judged. */
  lease_owner: string | null;
  lease_until_ms: number | null;
  /** Those with lower numbers are judged first. */
  priority: number;
  faults: number;
  retry_at_ms: number | null;
  /** 0 or 1. */
  approved: number;
  request_json: string | null;
  /** JSON: what no builder offered for it, as AskedOfBuilder; null where nothing was missing. */
  unsatisfiable: string | null;
  /** 0 or 1, this and the next: the offer of builders has changed, or a failure was cleared, since it was claimed. */
  offer_changed: number;
  failures_cleared: number;
  /** Null unless it was offered. */
  base_branch: string | null;
}

/** Of the last judgement of a change: the derivations behind what failed. */
export interface ChangeFailureTable {
  change_id: string;
  drv_id: number;
}

export interface DeliveryTable {
  key: string;
  /** In the order of arrival. */
  sequence: number;
  payload: string;
  received_at_ms: number;
  done_at_ms: number | null;
}

/** See StoredGate of the port. */
export interface GateTable {
  host: string;
  repository: string;
  head_sha: string;
  name: string;
  priority: number;
  /** 0 or 1. */
  concluded: number;
  version: number;
  sent_version: number;
  /** In the order in which they began to wait; never reused. */
  sequence: number;
  waiting_since_ms: number;
  next_at_ms: number | null;
  attempts: number;
  forge_id: number | null;
  updated_at_ms: number;
  /** This and the next two: null unless it is being sent. */
  claim_owner: string | null;
  claimed_version: number | null;
  claim_until_ms: number | null;
  fault: string | null;
  place_json: string;
  wanted_json: string;
}
