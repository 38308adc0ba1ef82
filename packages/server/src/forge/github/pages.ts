// Lists that GitHub gives in pages: read to their end, or to a bound.
import type { GithubCall, GithubClient } from './github-client.ts';

export interface PagedList<T> {
  readonly items: readonly T[];
  /** False where the bound came before the end. */
  readonly isComplete: boolean;
}

export interface PagedReading<T> {
  readonly mostPages: number;
  /** True: what follows this page is of no interest. */
  readonly isEnough?: (page: readonly T[]) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/** As many as a page can have. */
export const perPage = 100;

export const readPages = async <T>(
  client: GithubClient,
  call: GithubCall<readonly T[]>,
  { mostPages, isEnough = () => false, signal }: PagedReading<T>,
): Promise<PagedList<T>> => {
  const items: T[] = [];
  let path: string | null = call.path;
  for (let pages = 0; path !== null; pages++) {
    if (pages === mostPages) return { items, isComplete: false };
    const page: { readonly value: readonly T[]; readonly next: string | null } = await client.page(
      { ...call, path },
      signal,
    );
    items.push(...page.value);
    path = isEnough(page.value) ? null : page.next;
  }
  return { items, isComplete: true };
};
