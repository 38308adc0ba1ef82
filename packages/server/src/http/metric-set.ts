// Metrics that a part of the server counts by itself.
import type { Registry } from 'prom-client';

export interface MetricSet {
  /** Once, before anything is read. */
  registerIn(registry: Registry): void;
}
