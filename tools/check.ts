// `npm run check`: every check over the whole tree, what each found, and a table. Exit status 1 when one failed.
import { runChecks } from './check/run-checks.ts';
import { repositoryRoot } from './program.ts';

const { failed } = await runChecks(repositoryRoot);
process.exitCode = failed === 0 ? 0 : 1;
