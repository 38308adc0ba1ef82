// The machines file that somebody named cannot be used.

export class MachinesFileError extends Error {
  readonly code = 'MACHINES_FILE_UNUSABLE';
  constructor(path: string, why: string) {
    super(
      `the machines file ${path} ${why}: name the one with your machines as builders.machines_file, or leave the key out`,
    );
    this.name = 'MachinesFileError';
  }
}
