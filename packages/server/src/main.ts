// The process `eka-ci-server`: argv in, exit status out. Each command has a file of its own in commands/, loaded when
// it is asked for: a review should not wait for the code of the server.
import { createConfigHost } from './config/config-host.ts';

/** Of packages/server/package.json. */
const version = '0.1.0';

const runServer = async (argv: readonly string[]): Promise<void> => {
  const { readServerFlags, serverUsage } = await import('./config/server-flags.ts');
  const command = readServerFlags(argv, process.cwd());
  switch (command.kind) {
    case 'help':
      process.stdout.write(serverUsage);
      break;
    case 'version':
      process.stdout.write(`eka-ci-server ${version}\n`);
      break;
    case 'refused':
      process.stderr.write(`eka-ci-server: ${command.message}\n(run with --help for examples)\n`);
      process.exitCode = 2;
      break;
    case 'check-config': {
      const { checkConfig } = await import('./commands/check-config.ts');
      const report = await checkConfig(command, { env: process.env, host: createConfigHost() });
      process.stdout.write(report.found);
      process.stderr.write(report.complaints);
      process.exitCode = report.status;
      break;
    }
    case 'serve': {
      const { serve } = await import('./commands/serve.ts');
      process.exitCode = await serve(command, { env: process.env, host: createConfigHost(), version });
      break;
    }
  }
};

const [first, ...rest] = process.argv.slice(2);
if (first === 'ephemeral') {
  const { ephemeral } = await import('./commands/ephemeral.ts');
  await ephemeral(rest, version);
} else if (first === 'sandbox-runner') {
  const { runSandboxRunner } = await import('./commands/sandbox-runner.ts');
  await runSandboxRunner(rest);
} else {
  await runServer(process.argv.slice(2));
}
