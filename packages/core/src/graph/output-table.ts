// The outputs of every node: 20 bytes of hash and one of name each, where the path is the usual one.
import type { DrvOutput, NodeId } from '../drv-node.ts';
import { CompactUints, growUint32 } from './growable.ts';
import { rememberById, StringInterner } from './interner.ts';
import { HASH_LENGTH, HASH_WORDS, packHash, unpackHash } from './packed-hash.ts';

/** How an output's path is kept: rebuilt from hash and names, unknown before the build (''), or whole beside. */
const USUAL = 0;
const UNKNOWN = 1;
const KEPT_WHOLE = 2;
const KIND_BITS = 2;
const KIND_MASK = (1 << KIND_BITS) - 1;

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
  #counts = new CompactUints();
  /** Output name's id and how its path is kept. */
  #tags = new CompactUints();
  #hashes = new Uint32Array(64 * HASH_WORDS);
  #names = new StringInterner();
  #wholePaths = new Map<number, string>();

  /** Without what paths that are kept whole take. */
  get sizeBytes(): number {
    const { byteLength } = this.#hashes;
    return this.#starts.byteLength + byteLength + this.#counts.sizeBytes + this.#tags.sizeBytes;
  }

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
      outputs.push({ name, path: this.#path(owner, name, { index, kind: tag & KIND_MASK }) });
    }
    return outputs;
  }

  /** Forgets those of all other nodes. @param bound all ids of `kept` are below it */
  keepOnly(kept: Uint32Array, bound: number): void {
    const { starts, counts, tags, hashes, names, wholePaths } = this.#takeAll(bound);
    const nameOf = rememberById((id) => this.#names.idOf(names.textOf(id)));
    for (const id of kept) {
      const count = counts.get(id);
      const start = starts[id] ?? 0;
      this.#starts[id] = this.#length;
      this.#counts.set(id, count);
      this.#tags.reserve(this.#length + count);
      this.#hashes = growUint32(this.#hashes, (this.#length + count) * HASH_WORDS);
      for (let from = start; from < start + count; from++) {
        const to = this.#length++;
        const tag = tags.get(from);
        this.#tags.set(to, (nameOf(tag >>> KIND_BITS) << KIND_BITS) | (tag & KIND_MASK));
        for (let word = 0; word < HASH_WORDS; word++) {
          this.#hashes[to * HASH_WORDS + word] = hashes[from * HASH_WORDS + word] ?? 0;
        }
        const whole = wholePaths.get(from);
        if (whole !== undefined) this.#wholePaths.set(to, whole);
      }
    }
  }

  /** Leaves it empty, with room for the nodes below the bound. */
  #takeAll(bound: number) {
    const taken = {
      starts: this.#starts,
      counts: this.#counts,
      tags: this.#tags,
      hashes: this.#hashes,
      names: this.#names,
      wholePaths: this.#wholePaths,
    };
    this.#length = 0;
    this.#starts = new Uint32Array(bound);
    this.#counts = new CompactUints();
    this.#counts.reserve(bound);
    this.#tags = new CompactUints();
    this.#hashes = new Uint32Array(64 * HASH_WORDS);
    this.#names = new StringInterner();
    this.#wholePaths = new Map();
    return taken;
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
