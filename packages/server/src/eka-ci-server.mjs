#!/usr/bin/env node
// What is started as `eka-ci-server`: prepares Node for main.ts, which is the program.
import { keepCompiled } from '@eka-ci/process/compile-cache';

keepCompiled(process.env);
await import('./main.ts');
