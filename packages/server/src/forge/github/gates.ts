// Makes a check run be what a gate is to be, however often that is asked: found before it is made, and of one name once.
import { z } from 'zod';
import type { Gate } from '../gate.ts';
import { apiPath, withQuery } from './api-path.ts';
import {
  annotationsOf,
  annotationsPerRequest,
  type CheckAnnotation,
  checkRunCreation,
  checkRunName,
  checkRunUpdate,
} from './check-run-request.ts';
import type { GithubClient } from './github-client.ts';
import { GithubError, isGithubError } from './github-error.ts';
import { Id } from './github-schema.ts';
import { perPage, readPages } from './pages.ts';

const CheckRun = z.object({
  id: Id,
  name: z.string(),
  external_id: z.string().nullish(),
  app: z.object({ id: Id }).nullish(),
  output: z.object({ annotations_count: z.int() }),
});
type CheckRun = z.output<typeof CheckRun>;

const CheckRuns = z.object({ check_runs: z.array(CheckRun) });

const Annotation = z.object({
  path: z.string(),
  start_line: z.int(),
  end_line: z.int(),
  annotation_level: z.string().nullable(),
  title: z.string().nullish(),
  message: z.string().nullable(),
});

export interface GateTarget {
  /** As the installation of the repository. */
  readonly client: GithubClient;
  /** GitHub's number of our app: check runs of others are left alone. */
  readonly appId: number;
  /** `owner/repo` */
  readonly repository: string;
}

interface Putting extends GateTarget {
  readonly gate: Gate;
  readonly signal: AbortSignal | undefined;
}

/** Of those with its name and of our app: that with its external id, else the newest. */
const findRun = async ({ client, appId, repository, gate, signal }: Putting): Promise<CheckRun | null> => {
  const name = checkRunName(gate);
  const { check_runs: runs } = await client.call(
    {
      operation: 'gates.find',
      method: 'GET',
      path: withQuery(apiPath('repos', repository, 'commits', gate.headSha, 'check-runs'), {
        check_name: name,
        filter: 'all',
        per_page: perPage,
      }),
      schema: CheckRuns,
    },
    signal,
  );
  const ours = runs.filter((run) => run.name === name && run.app?.id === appId);
  const newest = ours.toSorted((one, other) => other.id - one.id);
  return newest.find((run) => run.external_id === gate.externalId) ?? newest[0] ?? null;
};

const keyOf = (one: CheckAnnotation | z.output<typeof Annotation>): string =>
  JSON.stringify([
    one.path,
    one.start_line,
    one.end_line,
    one.annotation_level,
    one.title ?? '',
    one.message,
  ]);

/** What GitHub has stays, and would be there twice if it were sent again. */
const missingAnnotations = async (
  { client, repository, gate, signal }: Putting,
  run: CheckRun,
): Promise<CheckAnnotation[]> => {
  const wanted = annotationsOf(gate);
  if (wanted.length === 0 || run.output.annotations_count === 0) return wanted;
  const path = withQuery(apiPath('repos', repository, 'check-runs', run.id, 'annotations'), {
    per_page: perPage,
  });
  const there = await readPages(
    client,
    { operation: 'gates.annotations', method: 'GET', path, schema: z.array(Annotation) },
    { mostPages: 20, signal },
  );
  const known = new Set(there.items.map(keyOf));
  return wanted.filter((one) => !known.has(keyOf(one)));
};

/** An update with annotations must not be repeated blindly: they would be there twice. */
const update = async (
  { client, repository, gate, signal }: Putting,
  runId: number,
  annotations: readonly CheckAnnotation[],
): Promise<CheckRun> =>
  await client.call(
    {
      operation: 'gates.update',
      method: 'PATCH',
      path: apiPath('repos', repository, 'check-runs', runId),
      body: checkRunUpdate(gate, annotations),
      schema: CheckRun,
      repeat: annotations.length === 0 ? 'always' : 'unless-done',
    },
    signal,
  );

const create = async (
  { client, repository, gate, signal }: Putting,
  annotations: readonly CheckAnnotation[],
): Promise<CheckRun> =>
  await client.call(
    {
      operation: 'gates.create',
      method: 'POST',
      path: apiPath('repos', repository, 'check-runs'),
      body: checkRunCreation(gate, annotations),
      schema: CheckRun,
      creates: true,
    },
    signal,
  );

const addRest = async (
  putting: Putting,
  run: CheckRun,
  rest: readonly CheckAnnotation[],
): Promise<number> => {
  for (let at = 0; at < rest.length; at += annotationsPerRequest) {
    await update(putting, run.id, rest.slice(at, at + annotationsPerRequest));
  }
  return run.id;
};

const putOnce = async (putting: Putting, knownId: number | null): Promise<number> => {
  const runId = knownId ?? (await findRun(putting))?.id ?? null;
  if (runId === null) {
    const wanted = annotationsOf(putting.gate);
    const made = await create(putting, wanted.slice(0, annotationsPerRequest));
    return await addRest(putting, made, wanted.slice(annotationsPerRequest));
  }
  // The state comes first, whatever becomes of the annotations.
  const run = await update(putting, runId, []);
  return await addRest(putting, run, await missingAnnotations(putting, run));
};

const mostTries = 3;

/**
 * Idempotent: whatever was lost before, afterwards the commit has one check run of this name, in this state.
 * @param knownId of an earlier time; null where it is not known: then it is looked for
 * @returns GitHub's id of it
 * @throws GithubError
 */
export const putGate = async (
  target: GateTarget,
  {
    gate,
    knownId,
    signal,
  }: { readonly gate: Gate; readonly knownId: number | null; readonly signal?: AbortSignal },
): Promise<number> => {
  const putting: Putting = { ...target, gate, signal };
  let id = knownId;
  for (let tries = 1; ; tries++) {
    try {
      return await putOnce(putting, id);
    } catch (error) {
      const isGone = id !== null && isGithubError(error, 'GITHUB_NOT_FOUND');
      const isLost = error instanceof GithubError && error.isMaybeDone;
      if (tries === mostTries || !(isGone || isLost)) throw error;
      // What was lost on its way back is found by its name.
      if (isGone) id = null;
    }
  }
};
