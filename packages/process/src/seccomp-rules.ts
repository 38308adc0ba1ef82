// Which system calls a confined program may not make. A list of what is denied: what build tools call is without end,
// and a call that is newer than the table is answered as by an older kernel.

/** Not there: programs ask for another way, and mostly have one. Else: not permitted. */
export type Denial = 'missing' | 'forbidden';

export const deniedCalls: Readonly<Record<string, Denial>> = {
  // What is where.
  mount: 'forbidden',
  umount2: 'forbidden',
  pivot_root: 'forbidden',
  chroot: 'forbidden',
  move_mount: 'forbidden',
  open_tree: 'forbidden',
  fsopen: 'forbidden',
  fsconfig: 'forbidden',
  fsmount: 'forbidden',
  fspick: 'forbidden',
  mount_setattr: 'forbidden',
  swapon: 'forbidden',
  swapoff: 'forbidden',
  quotactl: 'forbidden',
  quotactl_fd: 'forbidden',
  acct: 'forbidden',
  fanotify_init: 'forbidden',
  // Files that no path leads to.
  open_by_handle_at: 'forbidden',
  name_to_handle_at: 'forbidden',
  // Namespaces. The flags of clone3 are in memory, where no filter sees them; the C libraries then use clone.
  setns: 'forbidden',
  clone3: 'missing',
  // Other processes.
  ptrace: 'forbidden',
  process_vm_readv: 'forbidden',
  process_vm_writev: 'forbidden',
  process_madvise: 'forbidden',
  kcmp: 'forbidden',
  pidfd_getfd: 'forbidden',
  // Keys, which no namespace holds.
  add_key: 'forbidden',
  request_key: 'forbidden',
  keyctl: 'forbidden',
  // Wide doors into the kernel.
  bpf: 'forbidden',
  perf_event_open: 'forbidden',
  userfaultfd: 'forbidden',
  io_uring_setup: 'missing',
  io_uring_enter: 'missing',
  io_uring_register: 'missing',
  // Memory that nobody can account for.
  memfd_secret: 'missing',
  // The machine.
  kexec_load: 'forbidden',
  kexec_file_load: 'forbidden',
  create_module: 'forbidden',
  init_module: 'forbidden',
  finit_module: 'forbidden',
  delete_module: 'forbidden',
  query_module: 'forbidden',
  get_kernel_syms: 'forbidden',
  reboot: 'forbidden',
  syslog: 'forbidden',
  vhangup: 'forbidden',
  iopl: 'forbidden',
  ioperm: 'forbidden',
  modify_ldt: 'forbidden',
  settimeofday: 'forbidden',
  clock_settime: 'forbidden',
  clock_adjtime: 'forbidden',
  adjtimex: 'forbidden',
  sethostname: 'forbidden',
  setdomainname: 'forbidden',
  // Left over from other times.
  uselib: 'forbidden',
  ustat: 'forbidden',
  sysfs: 'forbidden',
  _sysctl: 'forbidden',
  nfsservctl: 'forbidden',
  lookup_dcookie: 'forbidden',
};

/** Calls that depend on an argument. Their rules are in seccomp.ts. */
export const judgedCalls = [
  'clone',
  'unshare',
  'ioctl',
  'socket',
  'personality',
  'memfd_create',
  'shmget',
] as const;

export type JudgedCall = (typeof judgedCalls)[number];

/** Every call that has a rule: whose numbers the table must have. */
export const filteredCalls: readonly string[] = [...Object.keys(deniedCalls), ...judgedCalls].toSorted();
