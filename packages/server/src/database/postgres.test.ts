// Where PostgreSQL will run the contract: one schema, one query layer, the same suite.
import { it } from 'vitest';

it('does on PostgreSQL what it does on SQLite', (test) => {
  test.skip('there is no PostgreSQL driver yet');
});
