// Writes the numbers of the system calls that packages/process filters, from the headers of a kernel: on Debian those
// of the package linux-libc-dev. Run by hand when the rules get a new name: node tools/seccomp-numbers.ts [/usr/include]
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { filteredCalls } from '@eka-ci/process';

const target = fileURLToPath(new URL('../packages/process/src/seccomp-numbers.ts', import.meta.url));

/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h: the machine, of 64 bits, little endian. */
const architectures = [
  { name: 'x86_64', audit: '0xc000003e', header: 'asm/unistd_64.h' },
  { name: 'aarch64', audit: '0xc00000b7', header: 'asm-generic/unistd.h' },
] as const;

/** Debian has headers of one architecture in a folder with its name. */
const findHeader = (include: string, header: string): string => {
  const folders = ['', ...readdirSync(include).filter((name) => name.endsWith('-linux-gnu'))];
  const found = folders.map((folder) => join(include, folder, header)).find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`${include} has no ${header}: name the folder with the kernel's headers`);
  return found;
};

/** Architectures with room for calls of their own have it below this number of the common table. */
const readNumbers = (text: string): Map<string, number> =>
  new Map(
    Array.from(text.matchAll(/^#define __NR_(\w+)\s+(\d+)\s*$/gm), ([, name = '', number]) => [
      name,
      Number(number),
    ]),
  );

const include = process.argv[2] ?? '/usr/include';

const tables = architectures.map(({ name, audit, header }) => {
  const numbers = readNumbers(readFileSync(findHeader(include, header), 'utf8'));
  numbers.delete('syscalls'); // How many there are: the next number.
  const newest = Math.max(...numbers.values());
  const lines = filteredCalls.flatMap((call) => {
    const number = numbers.get(call);
    return number === undefined ? [] : [`      ${call}: ${number},`];
  });
  return `  ${name}: {\n    audit: ${audit},\n    newest: ${newest},\n    numbers: {\n${lines.join('\n')}\n    },\n  },`;
});

writeFileSync(
  target,
  `// Made by tools/seccomp-numbers.ts from the kernel's headers: do not edit.

export interface SystemCallTable {
  /** The kernel's name for the architecture. */
  readonly audit: number;
  /** The highest number that the headers know. */
  readonly newest: number;
  /** By name; a call that the architecture does not have is not listed. */
  readonly numbers: Readonly<Record<string, number>>;
}

export const systemCallTables: Readonly<Record<'x86_64' | 'aarch64', SystemCallTable>> = {
${tables.join('\n')}
};
`,
);
