#!/usr/bin/env node
// What is started as `eka-ci-server`: prepares Node for main.ts, which is the program.
import { setFlagsFromString } from 'node:v8';
import { keepCompiled } from '@eka-ci/process/compile-cache';

// A start makes much that stays: V8 takes that for a reason to give young objects sixteen times the room, and does not
// take it back while little happens. The servers let it grow again once they listen (lib/young-objects.ts). Before the
// first module: what is kept compiled is of the flags that it was compiled under.
setFlagsFromString('--semi-space-growth-factor=1');
keepCompiled(process.env);
await import('./main.ts');
