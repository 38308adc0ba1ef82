// The outputs of every node: 20 bytes of hash and one of name each, where the path is the usual one.
import type { DrvOutput, NodeId } from '../drv-node.ts';
import { CompactUints, growUint32 } from './growable.ts';
import { StringInterner } from './interner.ts';
import { HASH_LENGTH, HASH_WORDS, packHash, unpackHash } from './packed-hash.ts';

/** How an output's path is kept: rebuilt from hash and names, unknown before the build (''), or whole beside. */
const USUAL = 0;
const UNKNOWN = 1;
const KEPT_WHOLE = 2;
const KIND_BITS = 2;

/** Nix's rule (store path of output `o` of a derivation named `n`): `<hash>-n` for `out`, else `<hash>-n-o`. */
const pathEnd = (drvName: string, output: string): string =>
  output === 'out' ? `-${drvName}` : `-${drvName}-${output}`;

export interface OutputOwner {
  readonly id: NodeId;
  readonly name: string;
  /** The store directory with a slash at its end. */
  readonly storePrefix: string;
}

export class OutputTable {
  #length = 0;
  #starts = new Uint32Array(0);
  readonly #counts = new CompactUints();
  /** Output name's id and how its path is kept. */
  readonly #tags = new CompactUints();
  #hashes = new Uint32Array(64 * HASH_WORDS);
  readonly #names = new StringInterner();
  readonly #wholePaths = new Map<number, string>();

  reserve(nodes: number): void {
    this.#starts = growUint32(this.#starts, nodes);
    this.#counts.reserve(nodes);
  }

  set(owner: OutputOwner, outputs: readonly DrvOutput[]): void {
    this.#starts[owner.id] = this.#length;
    this.#counts.set(owner.id, outputs.length);
    this.#tags.reserve(this.#length + outputs.length);
    this.#hashes = growUint32(this.#hashes, (this.#length + outputs.length) * HASH_WORDS);
    for (const output of outputs) {
      const index = this.#length++;
      this.#tags.set(index, (this.#names.idOf(output.name) << KIND_BITS) | this.#keep(owner, output, index));
    }
  }

  of(owner: OutputOwner): DrvOutput[] {
    const start = this.#starts[owner.id] ?? 0;
    const outputs: DrvOutput[] = [];
    for (let index = start; index < start + this.#counts.get(owner.id); index++) {
      const tag = this.#tags.get(index);
      const name = this.#names.textOf(tag >>> KIND_BITS);
      outputs.push({ name, path: this.#path(owner, name, { index, kind: tag & 3 }) });
    }
    return outputs;
  }

  #keep(owner: OutputOwner, { name, path }: DrvOutput, index: number): number {
    if (path === '') return UNKNOWN;
    const { storePrefix } = owner;
    const end = pathEnd(owner.name, name);
    const isUsual =
      storePrefix !== '' &&
      path.length === storePrefix.length + HASH_LENGTH + end.length &&
      path.startsWith(storePrefix) &&
      path.endsWith(end) &&
      packHash(path, storePrefix.length, this.#hashes, index * HASH_WORDS);
    if (isUsual) return USUAL;
    this.#wholePaths.set(index, path);
    return KEPT_WHOLE;
  }

  #path(owner: OutputOwner, name: string, { index, kind }: { index: number; kind: number }): string {
    if (kind === UNKNOWN) return '';
    if (kind === KEPT_WHOLE) return this.#wholePaths.get(index) ?? '';
    return owner.storePrefix + unpackHash(this.#hashes, index * HASH_WORDS) + pathEnd(owner.name, name);
  }
}
