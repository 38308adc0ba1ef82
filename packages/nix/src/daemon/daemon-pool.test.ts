import type { StorePath } from '@eka-ci/core/ids';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inReferenceOrder } from './closure.ts';
import { connectDaemon, type DaemonConnection } from './daemon-connection.ts';
import { createDaemonPool } from './daemon-pool.ts';
import type { ValidPathInfo } from './path-info.ts';
import { isValidPath } from './query-operations.ts';
import { answeringDaemon } from './testing/scripted-daemon.ts';
import { WireWriter } from './wire-writer.ts';

const LAST = 0x616c7473;
const path = `/s/${'0'.repeat(32)}-a` as StorePath;

/** Greets, and says of every path that it is valid. */
const agreeable = () => {
  let answers = 0;
  return answeringDaemon((heard, say) => {
    if (heard.length === 16) {
      say(new WireWriter().number(0x6478696f).number(0x122).string('2.8.0').number(LAST).bytes());
    }
    const asked = Math.floor((heard.length - 32) / (8 + 8 + 40));
    for (; answers < asked; answers++) say(new WireWriter().number(LAST).number(1).bytes());
  });
};

const createCounted = (size: number, idleMs?: number) => {
  const made: DaemonConnection[] = [];
  const pool = createDaemonPool({
    size,
    ...(idleMs === undefined ? {} : { idleMs }),
    async connect(signal) {
      const connection = await connectDaemon(agreeable(), {
        storeDir: '/s',
        ...(signal === undefined ? {} : { signal }),
      });
      made.push(connection);
      return connection;
    },
  });
  return { made, pool };
};

describe('a pool of connections', () => {
  it('opens no more than its size, uses them again, and serves in order', async () => {
    const { made, pool } = createCounted(3);
    const order: number[] = [];
    let inUse = 0;
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        pool.use(async (connection) => {
          order.push(i);
          expect(++inUse).toBeLessThanOrEqual(3);
          expect(await isValidPath(connection, path)).toBe(true);
          inUse--;
        }),
      ),
    );
    expect(made).toHaveLength(3);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    await pool.close();
    expect(made.map(({ isOpen }) => isOpen)).toEqual([false, false, false]);
    await expect(pool.use(async () => {})).rejects.toMatchObject({ code: 'NIX_DAEMON_CLOSED' });
  });

  it('replaces one that broke, and passes on why', async () => {
    const { made, pool } = createCounted(1);
    const fault = new Error('of the work');
    const broken = pool.use(async (connection) => {
      await connection.close();
      throw fault;
    });
    await expect(broken).rejects.toBe(fault);
    expect(await pool.use((connection) => isValidPath(connection, path))).toBe(true);
    await made[1]?.close();
    expect(await pool.use((connection) => isValidPath(connection, path))).toBe(true);
    expect(made).toHaveLength(3);
    await pool.close();
  });

  it('lets go of who waits and of what nobody uses', async () => {
    const { made, pool } = createCounted(1, 10);
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const first = pool.use(() => held);
    const abort = new AbortController();
    const second = pool.use(async () => 'never', abort.signal);
    const third = pool.use(async () => 'third');
    const reason = new Error('no longer');
    abort.abort(reason);
    await expect(second).rejects.toBe(reason);
    release();
    await first;
    expect(await third).toBe('third');
    await expect.poll(() => made[0]?.isOpen).toBe(false);
    await pool.close();
  });

  it('gives the place of a connection that could not be made to the next', async () => {
    let tries = 0;
    const pool = createDaemonPool({
      size: 1,
      connect() {
        if (tries++ === 0) return Promise.reject(new Error('not yet'));
        return connectDaemon(agreeable(), { storeDir: '/s' });
      },
    });
    const [first, second] = await Promise.allSettled([
      pool.use(async () => {}),
      pool.use(async () => 'there'),
    ]);
    expect(first.status).toBe('rejected');
    expect(second).toEqual({ status: 'fulfilled', value: 'there' });
    await pool.close();
  });
});

const anything: ValidPathInfo = {
  path,
  deriver: null,
  narSha256: '0'.repeat(64),
  references: [],
  registrationTime: 0,
  narSize: 0,
  ultimate: false,
  signatures: [],
  contentAddress: null,
};

describe('the order in which a closure is sent', () => {
  it('has every path once, after all that it refers to', () => {
    const graph = fc.array(fc.array(fc.nat({ max: 29 }), { maxLength: 5 }), { maxLength: 30 });
    fc.assert(
      fc.property(graph, fc.array(fc.nat()), (references, shuffle) => {
        // Stores have no cycles but of a path with itself.
        const infos = references.map((list, index): [StorePath, ValidPathInfo] => [
          String(index) as StorePath,
          {
            ...anything,
            path: String(index) as StorePath,
            references: [...new Set(list.filter((other) => other <= index))].map(
              (other) => String(other) as StorePath,
            ),
          },
        ]);
        infos.sort((a, b) => (shuffle[Number(a[0])] ?? 0) - (shuffle[Number(b[0])] ?? 0));
        const ordered = inReferenceOrder(new Map(infos));
        expect(ordered).toHaveLength(references.length);
        const seen = new Set<StorePath>();
        for (const info of ordered) {
          for (const reference of info.references) {
            if (reference !== info.path) expect(seen).toContain(reference);
          }
          seen.add(info.path);
        }
        expect(seen.size).toBe(references.length);
      }),
    );
  });
});
