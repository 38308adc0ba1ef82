#!/usr/bin/env node
// What is started as `ekaci`: prepares Node for main.ts, which is the program.
const ours = import.meta.resolve('@eka-ci/process');
const { keepCompiled } = await import(new URL('compile-cache.mjs', ours).href);
keepCompiled(process.env);
await import('./main.ts');
