// Says of a local change when the working tree holds more than what is judged.
import type { ReviewEvent } from '@eka-ci/protocol/review';
import type { StoredChange } from '../database/database.ts';
import type { Git } from '../git/git.ts';
import type { ChangeRequest } from './change-request.ts';

interface TellUncommittedDeps {
  readonly git: Pick<Git, 'inspectWorkingTree'>;
  readonly onEvent: (event: ReviewEvent) => void;
}

interface LocalChange {
  readonly change: StoredChange;
  readonly source: ChangeRequest['source'];
}

/** Only where the checked-out commit is the one that is judged: whoever names another does not mean these files. */
const tellUncommitted = async (
  { git, onEvent }: TellUncommittedDeps,
  { change, source }: LocalChange,
  signal: AbortSignal,
): Promise<void> => {
  if (source.kind !== 'local') return;
  try {
    const found = await git.inspectWorkingTree(source, signal);
    if (found === null || !found.hasUncommitted || found.head !== change.head) return;
    const message = 'the working tree has changes that are not committed: they are not judged';
    onEvent({ type: 'notice', level: 'warning', message });
  } catch (error) {
    // The judgement has ended, and nobody waits for this any more.
    if (signal.aborted) return;
    const reason = error instanceof Error ? error.message : String(error);
    onEvent({ type: 'notice', level: 'info', message: `uncommitted changes were not looked for: ${reason}` });
  }
};

/** In a large working tree a look takes longer than a judgement that has nothing to do. */
const graceMs = 1500;

/** Looks while the change is judged. `end` resolves when all is told, or does not matter any more. */
export const startTelling = (
  deps: TellUncommittedDeps,
  local: LocalChange,
  signal: AbortSignal,
): { end(): Promise<void> } => {
  const ended = new AbortController();
  const told = tellUncommitted(deps, local, AbortSignal.any([signal, ended.signal]));
  return {
    async end() {
      const grace = setTimeout(() => ended.abort(), graceMs);
      await told;
      clearTimeout(grace);
    },
  };
};
