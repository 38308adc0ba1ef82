// What the sandbox says of a run → what its check came to, in words. Pure.
import type { CheckOutcome } from '@eka-ci/core/check-outcome';
import type { SandboxLimits, SandboxResult } from '../../sandbox/sandbox.ts';

export interface CheckEnding {
  readonly outcome: CheckOutcome;
  readonly status: number | null;
  readonly reason: string | null;
  readonly durationMs: number | null;
  /** False: another run of the same may well come to something else, where the machine has less to do. */
  readonly isAnswer: boolean;
}

const failed = (reason: string, durationMs: number, isAnswer: boolean): CheckEnding => ({
  outcome: 'failed',
  status: null,
  reason,
  durationMs,
  isAnswer,
});

const diskReason = 'it wrote more than it may, or the disk of the server ran low';

export const endingOf = (result: SandboxResult, limits: SandboxLimits): CheckEnding => {
  switch (result.kind) {
    case 'ended': {
      const { status, durationMs } = result;
      const isWell = status === 0;
      return {
        outcome: isWell ? 'passed' : 'failed',
        status,
        reason: isWell ? null : `it ended with status ${status}`,
        durationMs,
        isAnswer: true,
      };
    }
    case 'signalled':
      return failed(`it was ended by ${result.signal}`, result.durationMs, false);
    case 'timed-out': {
      const reason = `it had not ended after ${limits.timeoutMs / 1000} s (timeout_seconds), or used more than ${limits.maxCpuSeconds} s of processor time (sandbox.max_cpu_seconds)`;
      return { ...failed(reason, result.durationMs, false), outcome: 'timed-out' };
    }
    case 'output-limit':
      return failed(
        `it printed more than ${limits.maxOutputMib} MiB (sandbox.max_output_mib)`,
        result.durationMs,
        true,
      );
    case 'out-of-memory':
      return failed(
        `it used more than ${limits.maxMemoryMib} MiB of memory (sandbox.max_memory_mib)`,
        result.durationMs,
        false,
      );
    case 'disk-limit':
      // No answer: others may have filled the disk.
      return failed(diskReason, result.durationMs, false);
    case 'process-limit':
      return failed(
        `it had more than ${limits.maxProcesses} processes (sandbox.max_processes)`,
        result.durationMs,
        // How many of them a look meets depends on how fast each is.
        false,
      );
    case 'cancelled':
      return { ...failed('it was ended before its end', result.durationMs, false), outcome: 'cancelled' };
    case 'refused': {
      const reason = `there is no sandbox for it, and nothing is run without: ${result.why}`;
      return { outcome: 'refused', status: null, reason, durationMs: null, isAnswer: false };
    }
  }
};
