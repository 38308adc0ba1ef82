// The process `ekaci`: argv in, exit status out. The commands are in program.ts.
import { writeSync } from 'node:fs';

/** What a shell says of a program that SIGPIPE ended, as it ends most: 128 and the signal's number. */
const readerGone = 141;

/** `ekaci changes | head` has what it wanted. A review has no verdict to show any more, and says so by its status. */
const endWithReader = (): never => process.exit(process.argv[2] === 'review' ? 2 : readerGone);

/** A reader that is gone or a full disk must never look like "newly failing". */
const endWithoutVerdict = (error: unknown): never => {
  if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return endWithReader();
  const message = error instanceof Error ? error.message : String(error);
  try {
    writeSync(2, `ekaci: ${message}\n`);
  } catch {
    // There is nobody to tell.
  }
  process.exit(2);
};
process.stdout.on('error', endWithoutVerdict);
process.stderr.on('error', endWithoutVerdict);

try {
  const { createProgram } = await import('./program.ts');
  await createProgram().parseAsync();
} catch (error) {
  endWithoutVerdict(error);
}
