// A database thread that dies: whoever asks then, or asked before, is told that it died and why.
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { callsOn } from './worker-calls.ts';

/** Says that it is open, and dies at the first call. */
const mortal = `
  const { parentPort } = require('node:worker_threads');
  parentPort.postMessage({ kind: 'opened' });
  parentPort.once('message', () => { throw new Error('out of luck'); });
`;

it('is told from one that was closed', async () => {
  const { calls, opened, close } = callsOn(new Worker(mortal, { eval: true, execArgv: [] }));
  await opened;
  for (const call of [calls.meta.schemaVersion(), calls.meta.schemaVersion()]) {
    await expect(call).rejects.toMatchObject({ code: 'DATABASE_FAILED' });
  }
  await expect(calls.meta.schemaVersion()).rejects.toThrow(
    /^the database thread ended \(out of luck\): restart/,
  );
  await close();
});
