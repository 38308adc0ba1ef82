// Runs of GitHub's own workflows: they matter here for the approval that outside contributors' runs wait for.
import { renderWorkflow, renderWorkflowRun } from '../render/workflow-run.ts';
import type { Account, Pull, WorkflowRun } from '../state/entities.ts';
import { Refusal } from '../state/refusal.ts';
import { mustGet, type World } from '../state/world.ts';

const tell = async (
  world: World,
  run: WorkflowRun,
  { action, by }: { readonly action: 'requested' | 'completed'; readonly by: Account },
): Promise<void> => {
  const rendered = await renderWorkflowRun(world, run);
  world.publish({
    event: 'workflow_run',
    action,
    sender: by,
    repository: mustGet(world.repositories, run.repositoryId),
    body: { workflow: renderWorkflow(world, run), workflow_run: rendered },
  });
};

/** A run for a pull request; one that waits for approval is over already, with that conclusion. */
export const startWorkflowRun = async (
  world: World,
  pull: Pull,
  { waits }: { readonly waits: boolean },
): Promise<WorkflowRun> => {
  const now = world.clock.now();
  const ofRepository = [...world.workflowRuns.values()].filter(
    ({ repositoryId }) => repositoryId === pull.repositoryId,
  );
  const run: WorkflowRun = {
    id: world.nextId(),
    repositoryId: pull.repositoryId,
    headRepositoryId: pull.headRepositoryId ?? pull.repositoryId,
    headSha: pull.headSha,
    headBranch: pull.headRef,
    actorId: pull.authorId,
    pullId: pull.id,
    status: waits ? 'completed' : 'queued',
    conclusion: waits ? 'action_required' : null,
    attempt: 1,
    runNumber: ofRepository.length + 1,
    createdAtMs: now,
    updatedAtMs: now,
  };
  world.workflowRuns.set(run.id, run);
  const by = mustGet(world.accounts, pull.authorId);
  await tell(world, run, { action: 'requested', by });
  if (waits) await tell(world, run, { action: 'completed', by });
  return run;
};

/** Somebody with write access lets it run. */
export const approveWorkflowRun = async (world: World, run: WorkflowRun, by: Account): Promise<void> => {
  if (run.conclusion !== 'action_required')
    throw new Refusal(403, 'This run is not from a fork pull request');
  run.status = 'queued';
  run.conclusion = null;
  run.updatedAtMs = world.clock.now();
  await tell(world, run, { action: 'requested', by });
};
