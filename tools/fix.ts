// `npm run fix`: formats, sorts imports, and mends what the linter can mend by itself.
import { repositoryRoot, runProgram } from './program.ts';

const commands: readonly (readonly [string, ...string[]])[] = [
  ['oxlint', '--type-aware', '--fix', '--quiet'],
  ['biome', 'check', '--write'],
];

for (const [command, ...args] of commands) {
  const { code, stdout, stderr } = await runProgram(repositoryRoot, command, args);
  console.log(`${stdout}${stderr}`.trim());
  if (code !== 0) process.exitCode = 1;
}
