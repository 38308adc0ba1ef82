// Check suites, check runs and commit statuses, by GitHub's rules.
import { resolveCommit } from '../git/repository-folder.ts';
import { concludeSuite, renderRunForHook, renderSuite } from '../render/checks.ts';
import type {
  Account,
  Annotation,
  App,
  CheckAction,
  CheckRun,
  CheckSuite,
  Repository,
} from '../state/entities.ts';
import { runsOfSuite, suitesOf } from '../state/lookup.ts';
import { invalidField, Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

/** As a request names it; what is not there stays as it is. */
export interface RunChange {
  readonly name?: string | undefined;
  readonly details_url?: string | undefined;
  readonly external_id?: string | undefined;
  readonly status?: string | undefined;
  readonly started_at?: string | undefined;
  readonly conclusion?: string | undefined;
  readonly completed_at?: string | undefined;
  readonly output?:
    | {
        readonly title?: string | undefined;
        readonly summary: string;
        readonly text?: string | undefined;
        readonly annotations?: readonly Annotation[] | undefined;
      }
    | undefined;
  readonly actions?: readonly CheckAction[] | undefined;
}

/** A suite keeps so many runs of one name. */
const maxRunsOfName = 1000;

const botOf = (world: World, app: App): Account => mustGet(world.accounts, app.botId);

const tellRun = (
  world: World,
  run: CheckRun,
  told: {
    readonly action: 'created' | 'completed' | 'requested_action' | 'rerequested';
    readonly by: Account;
    readonly identifier?: string;
  },
): void => {
  const { action, by, identifier } = told;
  const onlyTo = { appId: run.appId, installation: null };
  world.publish({
    event: 'check_run',
    action,
    sender: by,
    repository: mustGet(world.repositories, run.repositoryId),
    // Buttons are the business of the app that showed them.
    ...(action === 'created' || action === 'completed' ? {} : { onlyTo }),
    body: {
      check_run: renderRunForHook(world, run),
      ...(identifier === undefined ? {} : { requested_action: { identifier } }),
    },
  });
};

const tellSuite = async (
  world: World,
  suite: CheckSuite,
  { action, by }: { readonly action: 'completed' | 'requested' | 'rerequested'; readonly by: Account },
): Promise<void> => {
  const rendered = await renderSuite(world, suite);
  world.publish({
    event: 'check_suite',
    action,
    sender: by,
    repository: mustGet(world.repositories, suite.repositoryId),
    onlyTo: { appId: suite.appId, installation: null },
    body: { check_suite: rendered },
  });
};

const addSuite = (
  world: World,
  app: App,
  given: Pick<CheckSuite, 'before' | 'headBranch' | 'headSha' | 'repositoryId'>,
): CheckSuite => {
  const now = world.clock.now();
  const suite: CheckSuite = {
    ...given,
    id: world.nextId(),
    appId: app.id,
    createdAtMs: now,
    updatedAtMs: now,
  };
  world.checkSuites.set(suite.id, suite);
  return suite;
};

/** A push makes one for every app that may write checks. */
export const requestSuite = async (
  world: World,
  app: App,
  given: {
    readonly repository: Repository;
    readonly sha: string;
    readonly branch: string;
    readonly before: string;
    readonly by: Account;
  },
): Promise<void> => {
  const { repository, sha, branch, before, by } = given;
  if (suitesOf(world, repository, sha).some((suite) => suite.appId === app.id)) return;
  const suite = addSuite(world, app, {
    repositoryId: repository.id,
    headSha: sha,
    headBranch: branch,
    before,
  });
  await tellSuite(world, suite, { action: 'requested', by });
};

/** The app's suite of a commit, made where there is none. @throws Refusal where there is no such commit */
export const ensureSuite = async (
  world: World,
  app: App,
  { repository, sha }: { readonly repository: Repository; readonly sha: string },
): Promise<{ readonly suite: CheckSuite; readonly isNew: boolean }> => {
  const known = suitesOf(world, repository, sha).find((suite) => suite.appId === app.id);
  if (known !== undefined) return { suite: known, isNew: false };
  if (!/^[0-9a-f]{40}$/.test(sha) || (await resolveCommit(world.git, repository.folder, sha)) === null)
    throw new Refusal(422, `No commit found for SHA: ${sha}`);
  const branch = [...repository.branches].find(([, tip]) => tip === sha)?.[0] ?? null;
  const given = { repositoryId: repository.id, headSha: sha, headBranch: branch, before: null };
  return { suite: addSuite(world, app, given), isNew: true };
};

const checkChange = (change: RunChange): void => {
  if (change.status === 'completed' && change.conclusion === undefined)
    throw invalidField('CheckRun', 'conclusion', 'A completed check run needs a conclusion.');
  if (change.conclusion === 'stale')
    throw invalidField('CheckRun', 'conclusion', 'Only GitHub says that a check run is stale.');
  if (change.details_url !== undefined && !/^https?:\/\//.test(change.details_url))
    throw invalidField('CheckRun', 'details_url', 'details_url must use the http or https scheme');
};

/** Title, summary and text are replaced together; annotations are added to those before. */
const applyOutput = (run: CheckRun, { output, actions }: RunChange): void => {
  if (output !== undefined) {
    const { summary, title = run.output.title, text = null } = output;
    run.output = { title, summary, text };
    run.annotations = [...run.annotations, ...(output.annotations ?? [])];
  }
  if (actions !== undefined) run.actions = actions;
};

const applyState = (world: World, run: CheckRun, change: RunChange): void => {
  const wanted = change.conclusion === undefined ? change.status : 'completed';
  if (wanted === undefined) return;
  const wasCompleted = run.status === 'completed';
  run.status = wanted;
  if (wanted !== 'completed') {
    run.conclusion = null;
    run.completedAtMs = null;
    return;
  }
  run.conclusion = change.conclusion ?? run.conclusion;
  if (change.completed_at !== undefined) run.completedAtMs = Date.parse(change.completed_at);
  else if (!wasCompleted || run.completedAtMs === null) run.completedAtMs = world.clock.now();
};

const applyChange = (world: World, run: CheckRun, change: RunChange): void => {
  run.name = change.name ?? run.name;
  run.detailsUrl = change.details_url ?? run.detailsUrl;
  run.externalId = change.external_id ?? run.externalId;
  if (change.started_at !== undefined) run.startedAtMs = Date.parse(change.started_at);
  applyState(world, run, change);
  applyOutput(run, change);
};

const dropOldRuns = (world: World, suite: CheckSuite, name: string): void => {
  const sameName = runsOfSuite(world, suite).filter((run) => run.name === name);
  for (const run of sameName.slice(0, Math.max(0, sameName.length - maxRunsOfName)))
    world.checkRuns.delete(run.id);
};

/** What others hear of a run that began or ended, and of a suite that ended with it. */
const tellEnd = async (world: World, run: CheckRun, app: App): Promise<void> => {
  const suite = mustGet(world.checkSuites, run.suiteId);
  suite.updatedAtMs = world.clock.now();
  if (run.status !== 'completed') return;
  tellRun(world, run, { action: 'completed', by: botOf(world, app) });
  if (concludeSuite(world, suite).status === 'completed')
    await tellSuite(world, suite, { action: 'completed', by: botOf(world, app) });
};

export const createRun = async (
  world: World,
  app: App,
  given: {
    readonly repository: Repository;
    readonly sha: string;
    readonly change: RunChange & { readonly name: string };
  },
): Promise<CheckRun> => {
  const { repository, sha, change } = given;
  checkChange(change);
  const { suite } = await ensureSuite(world, app, { repository, sha });
  const run: CheckRun = {
    id: world.nextId(),
    suiteId: suite.id,
    repositoryId: repository.id,
    appId: app.id,
    headSha: sha,
    name: change.name,
    externalId: '',
    detailsUrl: null,
    status: 'queued',
    conclusion: null,
    startedAtMs: world.clock.now(),
    completedAtMs: null,
    output: { title: null, summary: null, text: null },
    annotations: [],
    actions: [],
  };
  applyChange(world, run, change);
  world.checkRuns.set(run.id, run);
  dropOldRuns(world, suite, run.name);
  tellRun(world, run, { action: 'created', by: botOf(world, app) });
  await tellEnd(world, run, app);
  return run;
};

export const updateRun = async (
  world: World,
  app: App,
  { run, change }: { readonly run: CheckRun; readonly change: RunChange },
): Promise<void> => {
  if (run.appId !== app.id)
    throw new Refusal(
      403,
      `Invalid app_id \`${app.id}\` - check run can only be modified by the GitHub App that created it.`,
    );
  checkChange(change);
  const before = `${run.status} ${run.conclusion}`;
  applyChange(world, run, change);
  if (`${run.status} ${run.conclusion}` !== before) await tellEnd(world, run, app);
};

/** Somebody presses *Re-run* beside one check run. */
export const rerequestRun = (world: World, run: CheckRun, by: Account): void =>
  tellRun(world, run, { action: 'rerequested', by });

/** Somebody presses *Re-run all checks*. */
export const rerequestSuite = (world: World, suite: CheckSuite, by: Account): Promise<void> =>
  tellSuite(world, suite, { action: 'rerequested', by });

/** Somebody presses a button that a check run shows. */
export const pressAction = (
  world: World,
  run: CheckRun,
  { identifier, by }: { readonly identifier: string; readonly by: Account },
): void => {
  if (!run.actions.some((action) => action.identifier === identifier))
    throw new Refusal(422, `the check run ${run.name} has no button ${identifier}`);
  tellRun(world, run, { action: 'requested_action', by, identifier });
};
