// Loaded before each test file: whoever waits for something waits longer than vitest's one second, for the machine may be
// busy with other tests. What fails for another reason than time fails at once all the same.
import { vi } from 'vitest';

const patientMs = 15_000;
const isPatient: unique symbol = Symbol.for('eka-ci.patient-wait');

const waitFor: typeof vi.waitFor & { readonly [isPatient]?: true } = vi.waitFor;

// Test files of one worker share it.
if (waitFor[isPatient] === undefined) {
  const patient: typeof vi.waitFor = (callback, options) =>
    waitFor(callback, typeof options === 'number' ? options : { timeout: patientMs, ...options });
  vi.waitFor = Object.assign(patient, { [isPatient]: true as const });
}
