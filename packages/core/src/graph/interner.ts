// Strings and lists of strings that many nodes share, each kept once and named by a small number.

/** Asks once for each small number. */
export const rememberById = (ask: (id: number) => number): ((id: number) => number) => {
  const answers: number[] = [];
  return (id) => {
    const known = answers[id];
    if (known !== undefined) return known;
    const answer = ask(id);
    answers[id] = answer;
    return answer;
  };
};

export class StringInterner {
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];

  idOf(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.#texts.length;
    this.#ids.set(text, id);
    this.#texts.push(text);
    return id;
  }

  textOf(id: number): string {
    return this.#texts[id] ?? '';
  }
}

/** The order inside a list counts. No text in a list contains NUL: Nix refuses it everywhere. */
export class ListInterner {
  readonly #ids = new Map<string, number>();
  readonly #lists: (readonly string[])[] = [];

  idOf(list: readonly string[]): number {
    // A list of one is its own key; longer ones and the empty one cannot collide with it.
    const key = list.length === 1 ? (list[0] ?? '') : `\0${list.join('\0')}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#lists.length;
    this.#ids.set(key, id);
    this.#lists.push(Object.freeze([...list]));
    return id;
  }

  listOf(id: number): readonly string[] {
    return this.#lists[id] ?? [];
  }
}
