// How much room V8 gives to young objects.
import { setFlagsFromString } from 'node:v8';

/**
 * As much as V8 likes, its own default: eka-ci-server.mjs holds it back while a process starts. For every server that
 * goes on to do work, once it has started.
 */
export const letYoungObjectsGrow = (): void => setFlagsFromString('--semi-space-growth-factor=2');
