// A test that waits for something is not ended by a busy second.
import { expect, it, vi } from 'vitest';

it('waits for more than a second, and as long as it is told to where it is told', async () => {
  const startedMs = performance.now();
  await vi.waitFor(() => expect(performance.now() - startedMs).toBeGreaterThan(1200));
  await expect(vi.waitFor(() => expect(1).toBe(2), { timeout: 60 })).rejects.toThrow('to be 2');
  await expect(vi.waitFor(() => expect(1).toBe(2), 60)).rejects.toThrow('to be 2');
});
