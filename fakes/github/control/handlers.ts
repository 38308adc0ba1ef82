// Each command, done.
import type { Journal } from '../http/journal.ts';
import type { CommandHandlers } from './control.ts';
import { createFinding } from './finding.ts';
import { appHandlers } from './handlers/apps.ts';
import { peopleHandlers } from './handlers/people.ts';
import { pullHandlers } from './handlers/pulls.ts';
import { repositoryHandlers } from './handlers/repositories.ts';
import { type SwitchDeps, switchHandlers } from './handlers/switches.ts';
import { talkHandlers } from './handlers/talk.ts';
import { createReading } from './reading.ts';

export interface ControlDeps extends SwitchDeps {
  readonly journal: Journal;
}

export const createHandlers = (deps: ControlDeps): CommandHandlers => {
  const { world } = deps;
  const find = createFinding(world);
  return {
    ...peopleHandlers(world, find),
    ...repositoryHandlers(world, find),
    ...appHandlers(world, find),
    ...pullHandlers(world, find),
    ...talkHandlers(world, find),
    ...switchHandlers(deps, find),
    ...createReading(world, find, deps.journal),
  };
};
