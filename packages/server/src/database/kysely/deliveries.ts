// What forges told, by key, in the order it came.
import type { Delivery } from '../database.ts';
import { type Session, takeNumbers } from './session.ts';

export interface DeliveryCalls {
  receive(deliveries: readonly Delivery[]): Promise<readonly ('new' | 'unfinished' | 'done')[]>;
  unfinished(limit: number, after?: string): Promise<readonly Delivery[]>;
  finish(keys: readonly string[], doneAtMs: number): Promise<void>;
  forget(doneBeforeMs: number): Promise<number>;
}

const receive = async (session: Session, deliveries: readonly Delivery[]) => {
  let sequence = await takeNumbers(session, 'delivery', deliveries.length);
  const answers: ('new' | 'unfinished' | 'done')[] = [];
  for (const { key, payload, receivedAtMs } of deliveries) {
    const text = 'select done_at_ms from deliveries where key = $1';
    const [known] = await session.run(text, [key]);
    if (known !== undefined) {
      answers.push(known['done_at_ms'] === null ? 'unfinished' : 'done');
      continue;
    }
    const row = [key, sequence++, payload, receivedAtMs];
    await session.run(
      'insert into deliveries (key, sequence, payload, received_at_ms) values ($1, $2, $3, $4)',
      row,
    );
    answers.push('new');
  }
  return answers;
};

/** True when it is done already. */
export const isDeliveryDone = async (session: Session, key: string): Promise<boolean> => {
  const [row] = await session.run('select done_at_ms from deliveries where key = $1', [key]);
  return row !== undefined && row['done_at_ms'] !== null;
};

export const finishDelivery = async (session: Session, key: string, doneAtMs: number): Promise<void> => {
  const text = 'update deliveries set done_at_ms = $1 where key = $2 and done_at_ms is null';
  await session.run(text, [doneAtMs, key]);
};

export const deliveryCalls = (session: Session): DeliveryCalls => ({
  receive: (deliveries) => receive(session, deliveries),
  async unfinished(limit, after) {
    const rows = await session.kysely
      .selectFrom('deliveries')
      .selectAll()
      .where('done_at_ms', 'is', null)
      .$if(after !== undefined, (query) =>
        query.where('sequence', '>', (expression) =>
          expression
            .selectFrom('deliveries')
            .select('sequence')
            .where('key', '=', after ?? ''),
        ),
      )
      .orderBy('sequence')
      .limit(Math.max(1, Math.trunc(limit)))
      .execute();
    return rows.map(({ key, payload, received_at_ms }) => ({ key, payload, receivedAtMs: received_at_ms }));
  },
  async finish(keys, doneAtMs) {
    for (const key of keys) await finishDelivery(session, key, doneAtMs);
  },
  async forget(doneBeforeMs) {
    const rows = await session.kysely
      .deleteFrom('deliveries')
      .where('done_at_ms', '<', doneBeforeMs)
      .returning('key')
      .execute();
    return rows.length;
  },
});
