// The hosted forge in memory, as the contract of hosted forges uses one.
import type { CommitSha } from '@eka-ci/core/ids';
import type { ForgeRepositoryId, ForgeUser, OfferedChange } from '../forge-event.ts';
import { createFakeHostedForge, FakeForgeFault, fakeRequest, fakeSha } from '../hosted-forge.fake.ts';
import type { ForgeWorld, OpenedChange, Push, ShownComment } from './forge-world.ts';

type Files = Readonly<Record<string, string>>;

const apply = (files: Files, given: Push['files']): Files =>
  Object.fromEntries(
    Object.entries({ ...files, ...given }).flatMap(([path, text]) => (text === null ? [] : [[path, text]])),
  );

const diffOf = (base: Files, head: Files): string[] =>
  [...new Set([...Object.keys(base), ...Object.keys(head)])].filter((path) => base[path] !== head[path]);

/** What people can do there, and what the fake itself does not keep: trees, and what others say. */
const createPlace = () => {
  const forge = createFakeHostedForge();
  const trees = new Map<CommitSha, Files>();
  const people = new Map<string, ForgeUser>();
  let lastNumber = 0;
  const next = (): number => (lastNumber += 1);
  const must = <T>(found: T | undefined): T => {
    if (found === undefined) throw new Error('there is no such thing at this forge');
    return found;
  };
  const repositoryOf = (name: string) => must(forge.repositories.get(name));
  const commit = (from: CommitSha | undefined, { files, atMs }: Omit<Push, 'branch'>): CommitSha => {
    const sha = fakeSha(next());
    trees.set(sha, apply(from === undefined ? {} : must(trees.get(from)), files));
    if (atMs !== undefined) forge.commitTimes.set(sha, atMs);
    return sha;
  };
  const show = (repository: string, change: OfferedChange): void => {
    repositoryOf(repository).changes.set(change.number, change);
    const paths = diffOf(must(trees.get(change.baseSha)), must(trees.get(change.headSha)));
    forge.diffs.set(`${repository}#${change.number}`, { paths, isComplete: true });
  };
  const changeOf = ({ repository, number }: Pick<OpenedChange, 'number' | 'repository'>) =>
    must(repositoryOf(repository).changes.get(number));
  return { forge, people, next, must, repositoryOf, commit, show, changeOf };
};

type Place = ReturnType<typeof createPlace>;

const createCode = (place: Place) => {
  const { forge, people, next, must, repositoryOf, commit, show, changeOf } = place;
  return {
    async createRepository({ isPrivate = false, isPermitted = true } = {}) {
      const name = `owner/${isPermitted ? 'served' : 'foreign'}-${next()}`;
      const { repository, branches } = forge.addRepository(name, { isPrivate });
      const mainSha = commit(undefined, { repository: name, files: { 'README.md': 'read' } });
      branches.set('main', mainSha);
      return { id: repository.id, name, mainSha };
    },
    async rename(repository) {
      const found = repositoryOf(repository);
      const name = `${repository}-renamed`;
      forge.repositories.delete(repository);
      forge.repositories.set(name, { ...found, repository: { ...found.repository, name } });
      return { name };
    },
    async push(given) {
      const { branches } = repositoryOf(given.repository);
      const sha = commit(branches.get(given.branch) ?? branches.get('main'), given);
      branches.set(given.branch, sha);
      return sha;
    },
    async openChange(given) {
      const { repository, by, isDraft = false, isFromFork = false } = given;
      const { changes, branches, repository: here } = repositoryOf(repository);
      const baseSha = must(branches.get('main'));
      const headSha = commit(baseSha, given);
      const number = changes.size + 1;
      const fork: ForgeRepositoryId = { id: 1_000_000 + next(), name: `${by.login}/fork` };
      const headRepository = isFromFork ? fork : { id: here.id, name: here.name };
      const base = { baseSha, baseBranch: 'main', isOpen: true, isDraft, title: 'A change' };
      const author = must(people.get(by.login));
      show(repository, { ...base, number, author, headSha, headBranch: `topic-${number}`, headRepository });
      return { repository, number, headSha };
    },
    async moveChange(change) {
      const { repository } = change;
      const headSha = commit(changeOf(change).headSha, { repository, files: { moved: '1' } });
      show(repository, { ...changeOf(change), headSha });
      return headSha;
    },
    async closeChange(change) {
      show(change.repository, { ...changeOf(change), isOpen: false });
    },
  } satisfies Partial<ForgeWorld>;
};

const createTalk = ({ forge, people, next, must }: Place) => {
  const said = new Map<string, ShownComment>();
  const keyOf = ({ repository, number }: OpenedChange, id: number): string => `${repository}#${number} ${id}`;
  return {
    async createPerson(login) {
      const person = { id: next(), login: `${login}-${next()}`, isPerson: true };
      people.set(person.login, person);
      forge.people.set(person.login, person.id);
      return person;
    },
    async setRight(repository, login, right) {
      forge.rights.set(`${repository} ${login}`, right);
    },
    async comment(change, { text }) {
      const id = 500_000 + next();
      said.set(keyOf(change, id), { id, isOurs: false, text, reactions: [] });
      return id;
    },
    async deleteComment(change, id) {
      const ours = [...forge.commentIds].find(([, one]) => one === id)?.[0];
      if (ours !== undefined) forge.comments.delete(ours);
      else said.delete(keyOf(change, id));
      forge.goneComments.add(id);
    },
    async comments({ repository, number }) {
      const place = `${repository}#${number} `;
      const reactionsTo = (id: number): string[] => [
        ...new Set(
          forge.reactions.flatMap(({ commentId, reaction }) => (commentId === id ? [reaction] : [])),
        ),
      ];
      const theirs = [...said].flatMap(([key, one]) => (key.startsWith(place) ? [one] : []));
      const ours = [...forge.comments].flatMap(([key, text]): ShownComment[] =>
        key.startsWith(place)
          ? [{ id: must(forge.commentIds.get(key)), isOurs: true, text, reactions: [] }]
          : [],
      );
      return [...theirs, ...ours].map((one) => ({ ...one, reactions: reactionsTo(one.id) }));
    },
  } satisfies Partial<ForgeWorld>;
};

const createSettings = ({ forge, must }: Place) => {
  const { mergeRulesOf, merging } = forge;
  const never = async (): Promise<void> => new Promise(() => {});
  return {
    async gates(repository, sha) {
      const place = `${repository} ${sha} `;
      return [...forge.gates].flatMap(([key, { id, gate }]) => {
        if (!key.startsWith(place)) return [];
        const { name, externalId, state, title, annotations = [], actions = [] } = gate;
        return [
          {
            ...{ id, name, externalId, title },
            state: state.kind === 'concluded' ? state.conclusion : state.kind,
            annotations: annotations.map(({ path, message }) => ({ path, message })),
            actions: actions.map(({ identifier }) => identifier),
          },
        ];
      });
    },
    async allowMethods(_, methods) {
      forge.mergeRulesOf = () => ({ methods, hasQueue: false });
    },
    async protectMain() {
      forge.merging = () => ({ kind: 'refused', says: 'a check is missing' });
    },
    async queueMain() {
      forge.mergeRulesOf = (...place) => ({ ...mergeRulesOf(...place), hasQueue: true });
    },
    async tellTwice() {
      const { repository } = must([...forge.repositories.values()][0] ?? forge.addRepository('owner/told'));
      const event = { kind: 'repository-deleted', repository, by: null } as const;
      const { headers, body } = fakeRequest({ id: 'delivery-1', event });
      const told = { headers, body: Buffer.from(body) };
      return [told, told];
    },
    async fail({ mayPass, retryAtMs }) {
      forge.fault = new FakeForgeFault(mayPass, retryAtMs);
    },
    async stall() {
      forge.onAsked = never;
    },
    async recover() {
      forge.fault = null;
      forge.onAsked = () => {};
      forge.merging = merging;
    },
    askedCount: async () => forge.asked.length,
  } satisfies Partial<ForgeWorld>;
};

export const openFakeForgeWorld = async (): Promise<ForgeWorld> => {
  const place = createPlace();
  const { forge } = place;
  forge.permits = (repository) => !repository.toLowerCase().startsWith('owner/foreign');
  return { forge, ...createCode(place), ...createTalk(place), ...createSettings(place) };
};
