// Contract of the port to hosted forges, for every driver: what is offered, and by whom, is told apart by numbers.
import { expect, it } from 'vitest';
import { faultContract } from './hosted-faults.contract.ts';
import type { HostedListing, RawDelivery } from './hosted-forge.ts';
import { gatesContract } from './hosted-gates.contract.ts';
import { mergingContract } from './hosted-merging.contract.ts';
import { talkContract } from './hosted-talk.contract.ts';
import { type ForgeWorld, patience } from './testing/forge-world.ts';

const nobodys = 9_999_999;

const identityContract = (open: () => Promise<ForgeWorld>): void => {
  it('finds a repository by its number under every name that it ever has, and in every case', async () => {
    const { forge, ...world } = await open();
    const { id, name } = await world.createRepository();
    const found = { id, name, isPrivate: false, defaultBranch: 'main' };
    expect(await forge.findRepository({ id, name }, patience())).toMatchObject(found);
    expect(await forge.findRepository({ id: 0, name: name.toUpperCase() }, patience())).toMatchObject(found);
    const renamed = await world.rename(name);
    expect(renamed.name).not.toBe(name);
    expect(await forge.findRepository({ id, name: renamed.name }, patience())).toMatchObject({
      ...found,
      ...renamed,
    });
    expect(await forge.findRepository({ id: nobodys, name: renamed.name }, patience())).toBeNull();
    expect(await forge.findRepository({ id: 0, name: `${name}-of-nobody` }, patience())).toBeNull();
  });

  it('says without asking whom it serves, and finds nothing of anybody else', async () => {
    const { forge, ...world } = await open();
    const [served, foreign] = [
      await world.createRepository(),
      await world.createRepository({ isPermitted: false }),
    ];
    const ann = await world.createPerson('ann');
    const opened = await world.openChange({ repository: foreign.name, files: { a: '1' }, by: ann });
    const before = await world.askedCount();
    expect(forge.isPermitted(served.name, null)).toBe(true);
    expect(forge.isPermitted(served.name.toUpperCase(), 'main')).toBe(true);
    expect(forge.isPermitted(foreign.name, null)).toBe(false);
    expect(forge.isPermitted(foreign.name, 'main')).toBe(false);
    expect(forge.isGroupBranch('main')).toBe(false);
    expect(await world.askedCount()).toBe(before);
    expect(await forge.findRepository(foreign, patience())).toBeNull();
    expect(await forge.findChange(foreign.name, opened.number, patience())).toBeNull();
  });
};

const sourcesContract = (open: () => Promise<ForgeWorld>): void => {
  it('gives what it takes to read a repository of the same owner that it serves, and none for any other', async () => {
    const { forge, ...world } = await open();
    const reader = await world.createRepository({ isPrivate: true });
    const { name } = await world.createRepository({ isPrivate: true });
    const foreign = await world.createRepository({ isPrivate: true, isPermitted: false });
    const before = await world.askedCount();
    const source = forge.findSource(forge.cloneUrl(name));
    expect(source).toMatchObject({ repository: name, of: 'repository' });
    expect(forge.findSource('https://elsewhere.example/o/r')).toBeNull();
    expect(await world.askedCount()).toBe(before);
    const accessFor = (repository: string, by = reader.name) =>
      forge.sourceAccess({ repository }, by, patience());
    const access = await accessFor(name);
    expect(access?.authorization).toMatch(/^\S+ \S+/);
    expect((await accessFor(reader.name))?.authorization).not.toBe(access?.authorization);
    expect(await accessFor(foreign.name)).toBeNull();
    expect(await accessFor(name, foreign.name)).toBeNull();
    expect(await accessFor(`${name}-of-nobody`)).toBeNull();
    expect(await accessFor(`other-than-${name}`)).toBeNull();
  });
};

const changesContract = (open: () => Promise<ForgeWorld>): void => {
  it('finds a change as it is: open, moved, a draft, from a fork, closed', async () => {
    const { forge, ...world } = await open();
    const { id, name: repository, mainSha } = await world.createRepository();
    const ann = await world.createPerson('ann');
    const find = async (number: number, name = repository) => forge.findChange(name, number, patience());
    const opened = await world.openChange({ repository, files: { a: '1' }, by: ann });
    const expected = {
      ...{ number: opened.number, isOpen: true, isDraft: false, headSha: opened.headSha },
      ...{ baseSha: mainSha, baseBranch: 'main', headRepository: { id, name: repository } },
      author: { id: ann.id, login: ann.login, isPerson: true },
    };
    expect(await find(opened.number)).toMatchObject(expected);
    expect(await find(opened.number, repository.toUpperCase())).toMatchObject(expected);
    const headSha = await world.moveChange(opened);
    expect(await find(opened.number)).toMatchObject({ ...expected, headSha });
    await world.closeChange(opened);
    expect(await find(opened.number)).toMatchObject({ ...expected, headSha, isOpen: false });
    const given = { files: { b: '1' }, by: ann, isDraft: true, isFromFork: true };
    const draft = await world.openChange({ repository, ...given });
    const drafted = await find(draft.number);
    expect(drafted).toMatchObject({ isOpen: true, isDraft: true, headSha: draft.headSha });
    expect(drafted?.headRepository).toMatchObject({ name: expect.stringMatching(/^ann/) as unknown });
    expect(drafted?.headRepository?.id).not.toBe(id);
    expect(await find(nobodys)).toBeNull();
    expect(await find(1, `${repository}-of-nobody`)).toBeNull();
  });

  it('finds where a branch is, until it is gone', async () => {
    const { forge, ...world } = await open();
    const { name, mainSha } = await world.createRepository();
    const tip = async (branch: string) => forge.findBranchTip(name, branch, patience());
    expect(await tip('main')).toBe(mainSha);
    const next = await world.push({ repository: name, branch: 'main', files: { a: '1' } });
    expect(await tip('main')).toBe(next);
    const topic = await world.push({ repository: name, branch: 'a/topic', files: { a: '2' } });
    expect(await tip('a/topic')).toBe(topic);
    expect(await tip('a')).toBeNull();
    expect(await tip('Main')).toBeNull();
  });

  it('lists everything that is served, each repository once, with all that is open', async () => {
    const { forge, ...world } = await open();
    const one = await world.createRepository();
    const other = await world.createRepository({ isPrivate: true });
    await world.createRepository({ isPermitted: false });
    const ann = await world.createPerson('ann');
    const opening = { repository: one.name, files: { a: '1' }, by: ann };
    const first = await world.openChange(opening);
    const closed = await world.openChange(opening);
    const draft = await world.openChange({ ...opening, isDraft: true });
    await world.closeChange(closed);
    const listings: HostedListing[] = [];
    for await (const listing of forge.listings(patience())) listings.push(listing);
    const byId = new Map(listings.map((listing) => [listing.repository.id, listing]));
    expect(new Set(listings.map(({ repository }) => repository.id))).toEqual(new Set([one.id, other.id]));
    expect(listings).toHaveLength(2);
    expect(byId.get(one.id)).toMatchObject({
      repository: { id: one.id, name: one.name, isPrivate: false, defaultBranch: 'main' },
      isComplete: true,
      changes: [
        { number: first.number, headSha: first.headSha, isDraft: false },
        { number: draft.number, headSha: draft.headSha, isDraft: true },
      ],
    });
    expect(byId.get(one.id)?.branches).toContainEqual({ name: 'main', sha: one.mainSha });
    expect(byId.get(other.id)).toMatchObject({
      repository: { name: other.name, isPrivate: true },
      changes: [],
      branches: [{ name: 'main', sha: other.mainSha }],
    });
  });
};

const deliveriesContract = (open: () => Promise<ForgeWorld>): void => {
  it('believes a delivery for its proof alone, and knows it again by its id', async () => {
    const { forge, ...world } = await open();
    const [first, again] = await world.tellTwice();
    const reading = forge.read(first);
    expect(reading).toMatchObject({ kind: 'event', id: expect.stringMatching(/./) as unknown });
    expect(forge.read(again)).toEqual(reading);
    const refused = { kind: 'refused', status: 401 };
    const other = Buffer.from(first.body);
    other.writeUInt8(0x20, other.length - 1);
    expect(forge.read({ ...first, body: other })).toMatchObject(refused);
    expect(forge.read({ ...first, body: new Uint8Array() })).toMatchObject(refused);
    const { 'content-type': type } = first.headers;
    expect(forge.read({ headers: { 'content-type': type }, body: first.body })).toMatchObject({
      kind: 'refused',
    });
    // A forge may send older proofs beside the one that counts.
    const isProof = (name: string): boolean => /proof|signature/.test(name);
    const all = Object.entries(first.headers);
    const wrong = all.map(([name, value]) =>
      isProof(name)
        ? [name, String(value).replace(/.$/, (last) => (last === '0' ? '1' : '0'))]
        : [name, value],
    );
    const missing = Object.fromEntries(all.filter(([name]) => !isProof(name)));
    expect(
      forge.read({ headers: Object.fromEntries(wrong) as RawDelivery['headers'], body: first.body }),
    ).toMatchObject(refused);
    expect(forge.read({ headers: missing, body: first.body })).toMatchObject(refused);
    expect(forge.read({ headers: missing, body: Buffer.from('no JSON') })).toMatchObject(refused);
  });
};

/** @param open a world for one test; whoever opens it closes it after the test */
export const hostedForgeContract = (open: () => Promise<ForgeWorld>): void => {
  identityContract(open);
  sourcesContract(open);
  changesContract(open);
  deliveriesContract(open);
  gatesContract(open);
  talkContract(open);
  mergingContract(open);
  faultContract(open);
};
