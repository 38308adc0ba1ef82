#!/usr/bin/env node
// What is started as `ekaci`: prepares Node for main.ts, which is the program.
import { keepCompiled } from '@eka-ci/process/compile-cache';

keepCompiled(process.env);
await import('./main.ts');
