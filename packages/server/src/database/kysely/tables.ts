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
  merge_requests: MergeRequestTable;
  reviews: ReviewTable;
  attr_maintainers: AttrMaintainerTable;
  maintainer_requests: MaintainerRequestTable;
  publications: PublicationTable;
  check_runs: CheckRunTable;
  pushes: PushTable;
  change_packages: ChangePackagesTable;
  users: UserTable;
  api_tokens: ApiTokenTable;
  revoked_sessions: RevokedSessionTable;
  approved_authors: ApprovedAuthorTable;
  held_runs: HeldRunTable;
  hosted_repositories: HostedRepositoryTable;
  hook_runs: HookRunTable;
  former_names: FormerNameTable;
  private_repositories: PrivateRepositoryTable;
  private_derivations: PrivateDerivationTable;
}

/** Repositories that are private at their forge, by every name that they have or had. */
export interface PrivateRepositoryTable {
  host: string;
  /** As `repositoryKey` gives it. */
  name_key: string;
  repository_id: number;
  name: string;
}

/** Derivations that only private repositories have wanted; all others are for everybody. */
export interface PrivateDerivationTable {
  /** The 32 characters that its store path begins with. */
  drv: string;
  host: string;
  repository_id: number;
}

/** See StoredHookRun of the port. */
export interface HookRunTable {
  id: number;
  hook: string;
  drv: string;
  attempt: number;
  build_state: string;
  repository: string;
  branch: string;
  job: string;
  commit_sha: string;
  change_id: string;
  state: string;
  tries: number;
  next_at_ms: number;
  wanted_at_ms: number;
  started_at_ms: number | null;
  finished_at_ms: number | null;
  exit_status: number | null;
  message: string | null;
  log_file: string | null;
}

/** Repositories of hosted forges by the forge's number. */
export interface HostedRepositoryTable {
  host: string;
  repository_id: number;
  name: string;
  /** As `repositoryKey` gives it: unique on its host, as of the next. */
  name_key: string;
}

/** Names that they had, and that nobody has now. */
export interface FormerNameTable {
  host: string;
  name_key: string;
  repository_id: number;
  name: string;
  at_ms: number;
}

export interface ApprovedAuthorTable {
  /** Of the forge; this and the next are the key. */
  host: string;
  user_id: number;
  login: string;
  approved_by: string;
  at_ms: number;
}

/** Runs of a forge's own CI that wait for somebody's approval there. */
export interface HeldRunTable {
  host: string;
  run_id: number;
  at_ms: number;
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
  /** The forge's number of its repository; null where none is known. */
  repository_id: number | null;
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

/** See StoredUser of the port. */
export interface UserTable {
  host: string;
  user_id: number;
  login: string;
  /** The same in lower case. */
  login_key: string;
  /** 0 or 1. */
  promoted: number;
  listed_as: string | null;
  created_at_ms: number;
  signed_in_at_ms: number;
}

/** See NewApiToken of the port. */
export interface ApiTokenTable {
  id: string;
  host: string;
  user_id: number;
  name: string;
  hash: string;
  created_at_ms: number;
  expires_at_ms: number | null;
  used_at_ms: number | null;
}

export interface RevokedSessionTable {
  id: string;
  /** It would not be believed after that anyway. */
  expires_at_ms: number;
}

/** See StoredMerge of the port. */
export interface MergeRequestTable {
  id: number;
  repository: string;
  number: number;
  head_sha: string;
  base_branch: string;
  method: string | null;
  by_id: number;
  by_login: string;
  comment_id: number | null;
  /** 0 or 1. */
  needs_reviews: number;
  asked_at_ms: number;
  state: string;
  attempts: number;
  next_at_ms: number;
  fault: string | null;
  /** 0 or 1: the state is one that nothing follows. */
  ended: number;
  reaction: string | null;
  reply: string | null;
  /** 0 or 1; 0 while it is open. */
  told: number;
  updated_at_ms: number;
}

/** See StoredReview of the port. */
export interface ReviewTable {
  repository: string;
  number: number;
  reviewer_id: number;
  reviewer_login: string;
  review_id: number;
  /** `dismissed` too: what comes late must not bring it back. */
  verdict: string;
  reviewed_sha: string | null;
  at_ms: number;
}

/** See AttrMaintainer of the port. */
export interface AttrMaintainerTable {
  host: string;
  attr: string;
  user_id: number;
  login: string;
  granted_by: string;
  at_ms: number;
}

/** See StoredPublication of the port. */
export interface PublicationTable {
  id: number;
  change_id: string;
  publication_json: string;
  /** 0 or 1: that reader has not taken it. */
  for_pushes: number;
  for_hooks: number;
  at_ms: number;
}

/** See StoredPush of the port. */
export interface PushTable {
  id: number;
  cache: string;
  /** The first of its outputs; unique for each cache. */
  output: string;
  outputs_json: string;
  drv: string;
  repository: string;
  branch: string;
  /** Null in what earlier versions wrote. */
  change_id: string | null;
  publication_id: number;
  priority: number;
  sequence: number;
  state: string;
  attempts: number;
  next_at_ms: number;
  fault: string | null;
  lease_owner: string | null;
  lease_until_ms: number | null;
  waiting_since_ms: number;
  updated_at_ms: number;
}

/** See StoredCheckRun of the port. */
export interface CheckRunTable {
  id: string;
  /** In the order in which they were asked for. */
  sequence: number;
  change_id: string;
  name: string;
  question: string;
  state: string;
  is_answer: number;
  kept: number;
  status: number | null;
  reason: string | null;
  duration_ms: number | null;
  tail_json: string;
  log_file: string | null;
  queued_at_ms: number;
  ended_at_ms: number | null;
}

/** See MaintainerRequest of the port. */
export interface MaintainerRequestTable {
  id: number;
  host: string;
  attr: string;
  user_id: number;
  login: string;
  state: string;
  asked_at_ms: number;
  decided_by: string | null;
  decided_at_ms: number | null;
}

export interface ChangePackagesTable {
  change_id: string;
  packages_json: string;
}
