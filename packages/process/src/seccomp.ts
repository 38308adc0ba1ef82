// The filter of system calls for confined programs, as the kernel takes it (seccomp(2), classic BPF of linux/filter.h).
import { systemCallTables } from './seccomp-numbers.ts';
import { deniedCalls, type JudgedCall } from './seccomp-rules.ts';

export type FilteredArchitecture = keyof typeof systemCallTables;

export interface FilterOptions {
  /**
   * Denies memory that no process shows as its own (files of memfd_create, large System V segments): for where a bound
   * on memory is kept by looking at processes.
   */
  readonly denyHiddenMemory: boolean;
}

/** `code` of struct sock_filter: load a word, jump by a comparison with a constant, and, return. */
const load = 0x20;
const jumpIfEqual = 0x15;
const jumpIfGreater = 0x25;
const jumpIfAnyBit = 0x45;
const and = 0x54;
const give = 0x06;

/** Offsets into struct seccomp_data. Arguments are of 64 bits, the lower half first on both architectures. */
const numberAt = 0;
const architectureAt = 4;
const lowArgumentAt = (index: number): number => 16 + 8 * index;

const allow = 0x7fff0000;
const killProcess = 0x80000000;
const errno = (number: number): number => 0x00050000 + number;
const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
const ENOMEM = 12;

/** One instruction: code, how many to skip when the comparison holds and when it does not, constant. */
type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number];

const op = (code: number, k: number, ifTrue = 0, ifFalse = 0): Instruction => [code, ifTrue, ifFalse, k];

/** CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET of linux/sched.h. */
const newNamespaces = 0x7e020080;
/** For clone(2) the lowest byte is a signal, and CLONE_NEWTIME, which is in it, is none of its flags. */
const newNamespacesOfClone = 0x7e020000;
/** TIOCSTI types into a terminal, TIOCLINUX pastes into one. */
const typingRequests = [0x5412, 0x541c];
const families = { unix: 1, inet: 2, inet6: 10, netlink: 16 };
/** UNAME26, ADDR_NO_RANDOMIZE and PER_LINUX32 change nothing that anybody relies upon. */
const harmlessPersonality = 0x0020000 + 0x0040000 + 0x8;
const askPersonality = 0xffffffff;
const smallSegmentBytes = 64 * 1024;

const denyAnyBit = (bits: number): Instruction[] => [
  op(load, lowArgumentAt(0)),
  op(jumpIfAnyBit, bits, 0, 1),
  op(give, errno(EPERM)),
  op(give, allow),
];

/** What follows when the call has this name. Each ends with an answer. */
const judgements: Readonly<Record<JudgedCall, (options: FilterOptions) => Instruction[]>> = {
  clone: () => denyAnyBit(newNamespacesOfClone),
  unshare: () => denyAnyBit(newNamespaces),
  ioctl: () => [
    op(load, lowArgumentAt(1)),
    ...typingRequests.flatMap((request) => [op(jumpIfEqual, request, 0, 1), op(give, errno(EPERM))]),
    op(give, allow),
  ],
  socket: () => [
    op(load, lowArgumentAt(0)),
    ...[families.unix, families.inet, families.inet6].flatMap((family) => [
      op(jumpIfEqual, family, 0, 1),
      op(give, allow),
    ]),
    // Of netlink, NETLINK_ROUTE: the C library lists addresses with it.
    op(jumpIfEqual, families.netlink, 1, 0),
    op(give, errno(EAFNOSUPPORT)),
    op(load, lowArgumentAt(2)),
    op(jumpIfEqual, 0, 1, 0),
    op(give, errno(EAFNOSUPPORT)),
    op(give, allow),
  ],
  personality: () => [
    op(load, lowArgumentAt(0)),
    op(jumpIfEqual, askPersonality, 2, 0),
    op(and, ~harmlessPersonality >>> 0),
    op(jumpIfEqual, 0, 0, 1),
    op(give, allow),
    op(give, errno(EPERM)),
  ],
  memfd_create: ({ denyHiddenMemory }) => [op(give, denyHiddenMemory ? errno(ENOSYS) : allow)],
  shmget: ({ denyHiddenMemory }) =>
    denyHiddenMemory
      ? [
          // The upper half of the size first: what has one is large.
          op(load, lowArgumentAt(1) + 4),
          op(jumpIfEqual, 0, 1, 0),
          op(give, errno(ENOMEM)),
          op(load, lowArgumentAt(1)),
          op(jumpIfGreater, smallSegmentBytes, 0, 1),
          op(give, errno(ENOMEM)),
          op(give, allow),
        ]
      : [op(give, allow)],
};

const instructionsFor = (architecture: FilteredArchitecture, options: FilterOptions): Instruction[] => {
  const { audit, newest, numbers } = systemCallTables[architecture];
  const forCall = (name: string, then: readonly Instruction[]): readonly Instruction[] => {
    const number = numbers[name];
    return number === undefined ? [] : [op(jumpIfEqual, number, 0, then.length), ...then];
  };
  const judged = Object.entries(judgements).flatMap(([name, judge]) => forCall(name, judge(options)));
  const denied = Object.entries(deniedCalls).flatMap(([name, denial]) =>
    forCall(name, [op(give, errno(denial === 'missing' ? ENOSYS : EPERM))]),
  );
  return [
    op(load, architectureAt),
    op(jumpIfEqual, audit, 1, 0),
    op(give, killProcess),
    op(load, numberAt),
    // Newer calls, and those of x32, which have a high bit.
    op(jumpIfGreater, newest, 0, 1),
    op(give, errno(ENOSYS)),
    ...denied,
    ...judged,
    op(give, allow),
  ];
};

/** An array of struct sock_filter, little endian: for `bwrap --seccomp`. */
export const seccompFilter = (architecture: FilteredArchitecture, options: FilterOptions): Uint8Array => {
  const instructions = instructionsFor(architecture, options);
  const bytes = Buffer.alloc(instructions.length * 8);
  instructions.forEach(([code, ifTrue, ifFalse, k], index) => {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(k, index * 8 + 4);
  });
  return bytes;
};

const architectureOfNode: Readonly<Partial<Record<NodeJS.Architecture, FilteredArchitecture>>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
};

/** Null where there is no table for this machine. */
export const filteredArchitecture = (): FilteredArchitecture | null =>
  architectureOfNode[process.arch] ?? null;

export interface FilteredCommand {
  /** A file with the filter: bubblewrap reads it from a descriptor, which a shell opens on the way. */
  readonly filter: string;
  /** A file to print into. @default standard output as it is */
  readonly output?: string;
}

/** The command of bubblewrap, with that filter. */
export const withFilter = (
  { filter, output }: FilteredCommand,
  [bwrap = '', ...args]: readonly string[],
): readonly string[] => {
  const command = [bwrap, '--seccomp', '9', ...args];
  return output === undefined
    ? ['/bin/sh', '-c', 'exec 9<"$0" && exec "$@"', filter, ...command]
    : ['/bin/sh', '-c', 'exec 9<"$0" >"$1" && shift && exec "$@"', filter, output, ...command];
};
