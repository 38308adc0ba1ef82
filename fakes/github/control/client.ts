// The typed remote control of a fake that runs.
import { type CommandName, commands } from './commands.ts';
import type { Control } from './control.ts';

/** Thrown when the fake refuses a command: its message says what was wrong with it. */
export class ControlError extends Error {
  readonly code = 'FAKE_GITHUB_CONTROL';
  constructor(message: string) {
    super(message);
    this.name = 'ControlError';
  }
}

const send = async (url: string, name: string, input: unknown): Promise<unknown> => {
  const answer = await fetch(`${url}/_fake/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(input),
  });
  const body = (await answer.json()) as { readonly given?: unknown; readonly message?: string };
  if (!answer.ok) throw new ControlError(body.message ?? `status ${answer.status}`);
  return body.given;
};

export const createControl = (url: string): Control => {
  const names = Object.keys(commands) as CommandName[];
  const methods = names.map((name) => [name, (input: unknown) => send(url, name, input)]);
  // One method for each command: what each takes and gives is what both ends are typed by.
  return Object.fromEntries(methods) as Control;
};
