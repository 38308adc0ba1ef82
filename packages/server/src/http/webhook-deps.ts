// What the addresses that forges tell are given to work with.
import type { Delivery } from '../database/database.ts';
import type { HostedForge } from '../forge/hosted-forge.ts';
import type { Logger } from '../lib/logger.ts';
import type { DeliveryLine } from '../pipeline/delivery-line.ts';
import type { WebhookMetrics } from './webhook-metrics.ts';

export interface WebhookDeps {
  readonly forges: readonly HostedForge[];
  readonly deliveries: Pick<DeliveryLine, 'receive'>;
  /** Told of each that is on disk and not done. Must not throw. */
  readonly onReceived: (delivery: Delivery) => void;
  readonly metrics: WebhookMetrics;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Of all bodies that are being received at once. @default 256 MiB */
  readonly maxBytesAtOnce?: number;
}
