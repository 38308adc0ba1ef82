// Nix's list of machines that build for others (`/etc/nix/machines`; "builders" in its manual): a line a machine.
import type { Machine } from './machine.ts';
import { type MachineAddress, MachineFault, parseMachineAddress, readHostKey } from './machine-address.ts';

export interface MachineLineNote {
  /** From 1. */
  readonly line: number;
  /** A sentence for people that says what to do. */
  readonly message: string;
}

export interface MachinesFile {
  readonly machines: readonly Machine[];
  /** Lines that could not be read; the others hold. */
  readonly problems: readonly MachineLineNote[];
  /** What is done in another way than Nix itself does it. */
  readonly notes: readonly MachineLineNote[];
}

/** Where Nix looks as well. It need not be there. */
export const defaultMachinesFile = '/etc/nix/machines';

const mostJobs = 1024;
const mostMachines = 1000;
const fieldCount = 8;
const name = /^[A-Za-z0-9][A-Za-z0-9_.+-]*$/;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Null for a field that is left out or is `-`. */
const fieldAt = (fields: readonly string[], index: number): string | null => {
  const field = fields[index];
  return field === undefined || field === '-' ? null : field;
};

const readNames = (field: string | null, what: string): string[] => {
  // Nix would take the next word for the next field.
  if (field?.endsWith(',')) throw new MachineFault(`has a blank in its ${what}s: lists have commas alone`);
  const names = (field ?? '').split(',').filter((part) => part !== '');
  const bad = names.find((one) => !name.test(one));
  if (bad !== undefined) throw new MachineFault(`has the ${what} ${JSON.stringify(bad)}`);
  return [...new Set(names)];
};

const readMaxJobs = (field: string | null): number => {
  if (field === null) return 1;
  const jobs = /^\d{1,9}$/.test(field) ? Number(field) : Number.NaN;
  if (jobs >= 1 && jobs <= mostJobs) return jobs;
  throw new MachineFault(
    jobs === 0
      ? 'has 0 for its number of jobs, so it never gets one: leave it out, or put # before it'
      : `has ${JSON.stringify(field)} for its number of jobs (field 4): it is 1 to ${mostJobs}`,
  );
};

const readSpeed = (field: string | null): number => {
  if (field === null) return 1;
  const speed = /^\d{1,6}(?:\.\d{1,6})?$/.test(field) ? Number(field) : 0;
  if (speed > 0) return speed;
  throw new MachineFault(
    `has ${JSON.stringify(field)} for its speed (field 5): it is a number above 0, and 1 for one as fast as this machine`,
  );
};

type UnnamedMachine = Omit<Machine, 'name'> & Pick<MachineAddress, 'isLegacy'>;

/** @throws MachineFault */
const readMachine = (text: string): UnnamedMachine => {
  if (text.startsWith('@')) {
    throw new MachineFault('names another file, which is not read: put its lines in this one');
  }
  const fields = text.split(/[ \t\r]+/);
  if (fields.length > fieldCount) {
    throw new MachineFault(
      `has ${fields.length} fields: there are ${fieldCount}, and lists are written with commas and without blanks`,
    );
  }
  const address = parseMachineAddress(fields[0] ?? '');
  const systems = readNames(fieldAt(fields, 1), 'system');
  const mandatoryFeatures = readNames(fieldAt(fields, 6), 'feature');
  const hostKey = fieldAt(fields, 7);
  if (hostKey !== null && !base64.test(hostKey)) throw new MachineFault('has a host key that is no base 64');
  return {
    ...address,
    identityFile: fieldAt(fields, 2) ?? address.identityFile,
    hostKey: hostKey === null ? address.hostKey : readHostKey(hostKey),
    systems: systems.length === 0 ? null : systems,
    maxJobs: readMaxJobs(fieldAt(fields, 3)),
    speed: readSpeed(fieldAt(fields, 4)),
    features: [...new Set([...readNames(fieldAt(fields, 5), 'feature'), ...mandatoryFeatures])],
    mandatoryFeatures,
  };
};

/** Gives each machine a name that no other one has: the second `far` is `far#2`. */
const createNames = (reserved: Iterable<string>): ((machine: Pick<Machine, 'host' | 'port'>) => string) => {
  const taken = new Map([...reserved].map((one): [string, number] => [one, 1]));
  return ({ host, port }) => {
    const bare = port === null ? host : `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const count = (taken.get(bare) ?? 0) + 1;
    taken.set(bare, count);
    // No host has a `#` in it.
    return count === 1 ? bare : `${bare}#${count}`;
  };
};

/** What stands between line feeds or semicolons, without its comment: Nix takes both. */
const entriesOf = (text: string): { readonly line: number; readonly entry: string }[] =>
  text.split('\n').flatMap((content, index) =>
    content
      .replace(/#.*/, '')
      .split(';')
      .map((entry) => ({ line: index + 1, entry: entry.trim() }))
      .filter(({ entry }) => entry !== ''),
  );

/** @param reserved names that no machine gets */
export const parseMachinesFile = (text: string, reserved: Iterable<string> = ['local']): MachinesFile => {
  const machines: Machine[] = [];
  const [problems, notes]: [MachineLineNote[], MachineLineNote[]] = [[], []];
  const nameOf = createNames(reserved);
  for (const { line, entry } of entriesOf(text)) {
    try {
      if (machines.length >= mostMachines) {
        throw new MachineFault(`is one more than the ${mostMachines} that are taken`);
      }
      const { isLegacy, ...machine } = readMachine(entry);
      const chosen = nameOf(machine);
      machines.push({ name: chosen, ...machine });
      if (isLegacy) notes.push({ line, message: `line ${line}: ${chosen} is spoken to as with ssh-ng://` });
    } catch (error) {
      if (!(error instanceof MachineFault)) throw error;
      problems.push({ line, message: `line ${line} ${error.message}` });
    }
  }
  return { machines, problems, notes };
};
