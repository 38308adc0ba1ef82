// Who follows what. A reader that follows several of the topics that an event has is told of it once.
import type { DrvPath } from '@eka-ci/core/ids';

/** A resource that can be followed, as the server knows it. */
export type LiveTopic =
  | { readonly resource: 'allbuilds' }
  /** `id` is the full sha of a head, the id of a change, or `<id of a change>.<position of a job in its summary>`. */
  | { readonly resource: 'commit' | 'change' | 'job'; readonly id: string }
  | { readonly resource: 'drv'; readonly id: DrvPath };

export const everything = 'allbuilds';
export const topicOfDrv = (drv: DrvPath): string => `drv ${drv}`;
export const topicOfChange = (id: string): string => `change ${id}`;
export const topicOfCommit = (sha: string): string => `commit ${sha}`;
export const topicOfJob = (changeId: string, position: number): string => `job ${changeId}.${position}`;
/** Of those who follow any job of a change. */
export const topicOfJobs = (changeId: string): string => `jobs ${changeId}`;

const topicsOf = (topic: LiveTopic): readonly string[] => {
  switch (topic.resource) {
    case 'allbuilds':
      return [everything];
    case 'drv':
      return [topicOfDrv(topic.id)];
    case 'change':
      return [topicOfChange(topic.id)];
    case 'commit':
      return [topicOfCommit(topic.id)];
    case 'job': {
      const dot = topic.id.lastIndexOf('.');
      return [`job ${topic.id}`, topicOfJobs(topic.id.slice(0, Math.max(0, dot)))];
    }
  }
};

/** The readers of a topic, with how many of their resources have it. */
type Followers<Reader> = Map<Reader, number>;

export class LiveTopics<Reader> {
  readonly #followers = new Map<string, Followers<Reader>>();

  /** Once for each resource: twice counts twice. */
  follow(reader: Reader, resource: LiveTopic): void {
    for (const topic of topicsOf(resource)) {
      const followers: Followers<Reader> = this.#followers.get(topic) ?? new Map();
      this.#followers.set(topic, followers);
      followers.set(reader, (followers.get(reader) ?? 0) + 1);
    }
  }

  /** Only what was followed. */
  unfollow(reader: Reader, resource: LiveTopic): void {
    for (const topic of topicsOf(resource)) {
      const followers = this.#followers.get(topic);
      const left = (followers?.get(reader) ?? 0) - 1;
      if (left > 0) followers?.set(reader, left);
      else followers?.delete(reader);
      if (followers?.size === 0) this.#followers.delete(topic);
    }
  }

  /** Everybody who follows any of these, each once. */
  readersOf(topics: readonly string[]): Iterable<Reader> {
    const followed = topics.map((topic) => this.#followers.get(topic)).filter((one) => one !== undefined);
    const [first, ...others] = followed;
    if (first === undefined) return [];
    return others.length === 0 ? first.keys() : new Set(followed.flatMap((one) => [...one.keys()]));
  }

  /** Cheap: it is asked for every line of every log. */
  isFollowed(topic: string): boolean {
    return this.#followers.has(topic);
  }
}
