import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findProgram } from './process.ts';
import { type FilteredArchitecture, filteredArchitecture, seccompFilter, withFilter } from './seccomp.ts';
import { systemCallTables } from './seccomp-numbers.ts';
import { deniedCalls, filteredCalls, judgedCalls } from './seccomp-rules.ts';

interface Call {
  readonly audit: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

const allow = 'allow';

/** What the kernel would answer: the instructions that the filter uses, and none else. */
const answerOf = (filter: Uint8Array, { audit, number, args = [] }: Call): string => {
  const program = Buffer.from(filter);
  const data = Buffer.alloc(64);
  data.writeInt32LE(number | 0, 0);
  data.writeUInt32LE(audit, 4);
  args.forEach((arg, index) => data.writeBigUInt64LE(BigInt.asUintN(64, arg), 16 + 8 * index));
  let word = 0;
  for (let at = 0; at < program.length; at += 8) {
    const code = program.readUInt16LE(at);
    const k = program.readUInt32LE(at + 4);
    const jump = (holds: boolean): void => {
      at += 8 * program.readUInt8(at + (holds ? 2 : 3));
    };
    if (code === 0x20) word = data.readUInt32LE(k);
    else if (code === 0x54) word = (word & k) >>> 0;
    else if (code === 0x15) jump(word === k);
    else if (code === 0x25) jump(word > k);
    else if (code === 0x45) jump((word & k) !== 0);
    else if (code === 0x06) {
      if (k === 0x7fff0000) return allow;
      if (k === 0x80000000) return 'kill';
      return { 1: 'EPERM', 12: 'ENOMEM', 38: 'ENOSYS', 97: 'EAFNOSUPPORT' }[k - 0x50000] ?? `? ${k}`;
    } else throw new Error(`no such instruction: ${code}`);
  }
  throw new Error('it ran off its end');
};

const architectures = Object.keys(systemCallTables) as FilteredArchitecture[];
const all = { denyHiddenMemory: true };

describe.each(architectures)('the filter of system calls on %s', (architecture) => {
  const table = systemCallTables[architecture];
  const filter = seccompFilter(architecture, all);
  const numbers: Readonly<Record<string, number | undefined>> = table.numbers;
  const answer = (name: string, ...args: number[]): string => {
    const number = numbers[name];
    if (number === undefined) throw new Error(`no ${name} here`);
    return answerOf(filter, { audit: table.audit, number, args: args.map(BigInt) });
  };

  it('has the number of every call but those of the other architecture', () => {
    const missing = filteredCalls.filter((name) => numbers[name] === undefined);
    const ofX86 = [
      '_sysctl',
      'create_module',
      'get_kernel_syms',
      'ioperm',
      'iopl',
      'modify_ldt',
      'query_module',
    ];
    expect(missing).toEqual(architecture === 'x86_64' ? [] : [...ofX86, 'sysfs', 'uselib', 'ustat']);
    expect(filter.length / 8).toBeLessThan(4096);
  });

  it('denies what it lists, and lets everything else pass', () => {
    const judged = new Set<number | undefined>(judgedCalls.map((name) => numbers[name]));
    const denied = new Map(Object.entries(deniedCalls).map(([name, denial]) => [numbers[name], denial]));
    const anyArgs = fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { maxLength: 6 });
    for (let number = 0; number <= table.newest; number += 1) {
      if (judged.has(number)) continue;
      const denial = denied.get(number);
      const expected = denial === undefined ? allow : denial === 'missing' ? 'ENOSYS' : 'EPERM';
      fc.assert(
        fc.property(anyArgs, (args) => answerOf(filter, { audit: table.audit, number, args }) === expected),
        { numRuns: 3 },
      );
    }
  });

  it('answers newer calls, and those of x32, as a kernel that has none of them', () => {
    const unknown = fc.integer({ min: table.newest + 1, max: 0xffffffff });
    fc.assert(
      fc.property(unknown, (number) => answerOf(filter, { audit: table.audit, number }) === 'ENOSYS'),
    );
  });

  it('ends who calls for another architecture', () => {
    const other = fc.integer({ min: 0, max: 0xffffffff }).filter((audit) => audit !== table.audit);
    const call = fc.record({ audit: other, number: fc.nat(500) });
    fc.assert(fc.property(call, (one) => answerOf(filter, one) === 'kill'));
  });

  it('lets processes and threads start, and no namespace', () => {
    expect(answer('clone', 0x1200011)).toBe(allow); // fork
    expect(answer('clone', 0x3d0f00)).toBe(allow); // pthread_create
    expect(answer('unshare', 0x200)).toBe(allow); // CLONE_FS
    for (const bit of [17, 25, 26, 27, 28, 29, 30]) {
      expect(answer('clone', 2 ** bit + 17)).toBe('EPERM');
      expect(answer('unshare', 2 ** bit)).toBe('EPERM');
    }
    expect(answer('unshare', 0x80)).toBe('EPERM'); // CLONE_NEWTIME
  });

  it('lets nobody type into a terminal, whatever the upper half of the request holds', () => {
    expect(answer('ioctl', 0, 0x5413)).toBe(allow);
    for (const request of [0x5412, 0x541c, 0x1_0000_5412, 2 ** 52 + 0x541c]) {
      expect(answer('ioctl', 0, request)).toBe('EPERM');
    }
  });

  it('has sockets of the usual families alone', () => {
    for (const family of [1, 2, 10, 16]) expect(answer('socket', family, 1, 0)).toBe(allow);
    for (const family of [0, 3, 17, 38, 40]) expect(answer('socket', family, 1, 0)).toBe('EAFNOSUPPORT');
    expect(answer('socket', 16, 3, 9)).toBe('EAFNOSUPPORT'); // NETLINK_AUDIT
  });

  it('lets a program be of the kinds that matter not', () => {
    for (const persona of [0, 8, 0x20008, 0x40000, 0xffffffff])
      expect(answer('personality', persona)).toBe(allow);
    for (const persona of [0x400000, 0x100000, 1]) expect(answer('personality', persona)).toBe('EPERM');
  });

  it('denies memory that no process shows where that was asked for', () => {
    expect(answer('memfd_create')).toBe('ENOSYS');
    expect(answer('shmget', 0, 56)).toBe(allow);
    for (const size of [2 ** 20, 2 ** 32, 2 ** 40 + 1]) expect(answer('shmget', 0, size)).toBe('ENOMEM');
    const open = seccompFilter(architecture, { denyHiddenMemory: false });
    const call = (name: string, ...args: bigint[]): string =>
      answerOf(open, { audit: table.audit, number: numbers[name] ?? -1, args });
    expect(call('memfd_create')).toBe(allow);
    expect(call('shmget', 0n, 1n << 40n)).toBe(allow);
  });
});

describe('bubblewrap with the filter', () => {
  const architecture = filteredArchitecture();
  const bwrap = findProgram('bwrap') ?? '';
  const shows = ['--unshare-user', '--ro-bind', '/', '/'];
  const isThere = bwrap !== '' && spawnSync(bwrap, [...shows, 'true']).status === 0;

  it.skipIf(architecture === null || !isThere)('loads it, and prints where that was asked for', () => {
    const folder = mkdtempSync(join(tmpdir(), 'eka-ci-filter-'));
    try {
      const files = { filter: join(folder, 'filter'), output: join(folder, 'output') };
      writeFileSync(files.filter, seccompFilter(architecture ?? 'x86_64', all));
      const script = 'grep Seccomp: /proc/self/status; ls /proc/self/fd | wc -l';
      const [shell = '', ...args] = withFilter(files, [bwrap, ...shows, '/bin/sh', '-c', script]);
      execFileSync(shell, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const printed = execFileSync('cat', [files.output], { encoding: 'utf8' });
      expect(printed).toMatch(/^Seccomp:\s+2\n/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
