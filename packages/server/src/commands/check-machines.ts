// The machines file as `--check-config` shows it: every machine that was found in it, and every line that cannot be read.
import type { ConfigHost } from '../config/config-host.ts';
import type { Machine } from '../config/machine.ts';
import { defaultMachinesFile, parseMachinesFile } from '../config/machines-file.ts';
import type { ConfigReport } from './config-report.ts';

const countOf = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

const describeMachine = ({ name, user, systems, maxJobs, speed, ...rest }: Machine): string => {
  const features = rest.features.map((one) =>
    rest.mandatoryFeatures.includes(one) ? `${one} (mandatory)` : one,
  );
  const facts = [
    systems === null ? 'the system of this server' : systems.join(', '),
    countOf(maxJobs, 'job'),
    ...(speed === 1 ? [] : [`speed ${speed}`]),
    ...(features.length === 0 ? [] : [`features ${features.join(', ')}`]),
    ...(user === null ? [] : [`as ${user}`]),
    rest.hostKey === null ? 'its host key is left to ssh' : 'with its host key',
  ];
  return `  ${name}: ${facts.join('; ')}\n`;
};

/** Asks no machine whether it is there: the server does. */
export const checkMachines = async (
  host: Pick<ConfigHost, 'readFile'>,
  path: string,
): Promise<ConfigReport> => {
  const read = await host.readFile(path);
  if (read.kind !== 'read') {
    const why = `builders.machines_file: ${path} ${read.kind === 'missing' ? 'does not exist' : read.message}`;
    if (path !== defaultMachinesFile) return { found: '', warnings: [], errors: [why] };
    return { found: '', warnings: read.kind === 'missing' ? [] : [why], errors: [] };
  }
  const { machines, problems, notes } = parseMachinesFile(read.text);
  const heading = `${countOf(machines.length, 'machine')} in ${path}${machines.length === 0 ? '' : ':'}\n`;
  return {
    found: `${heading}${machines.map(describeMachine).join('')}${notes.map(({ message }) => `  ${message}\n`).join('')}`,
    warnings: problems.map(({ message }) => `${path}: ${message}; this line is passed over`),
    errors: [],
  };
};
