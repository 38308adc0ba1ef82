// Metrics of live connections.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { LiveConnections, LiveCounts } from './live/live-connections.ts';

const prefix = 'eka_ci_live_';

export const addLiveMetrics = (registry: Registry, live: Pick<LiveConnections, 'counts'>): void => {
  const registers = [registry];
  const gauge = (name: keyof LiveCounts, help: string): Gauge =>
    new Gauge({
      name: `${prefix}${name}`,
      help,
      registers,
      collect() {
        this.set(live.counts()[name]);
      },
    });
  const counter = (name: 'sent' | 'skipped', help: string): Counter =>
    new Counter({
      name: `${prefix}events_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(live.counts()[name]);
      },
    });
  gauge('connections', 'Live connections that are open.');
  gauge('subscriptions', 'Subscriptions of all live connections.');
  counter('sent', 'Live events that were sent, counted for each reader.');
  counter('skipped', 'Live events that a reader was too slow for, counted for each reader.');
};
