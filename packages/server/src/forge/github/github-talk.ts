// GitHub's part in talking to people.
import type { HostedTalk } from '../hosted-talk.ts';
import { putComment, react } from './comments.ts';
import type { Speak } from './github-apps.ts';
import { isGithubError } from './github-error.ts';
import { findCommitterDate, findRight } from './repositories.ts';

export const createGithubTalk = (speak: Speak): HostedTalk => ({
  async rightOf(repository, user, signal) {
    const { client } = await speak({ repository, baseBranch: null }, signal);
    return findRight(client, { repository, user }, signal);
  },
  async react(place, to, signal) {
    const { client } = await speak(place, signal);
    try {
      await react(client, { repository: place.repository, ...to }, signal);
      return true;
    } catch (error) {
      if (isGithubError(error, 'GITHUB_NOT_FOUND')) return false;
      throw error;
    }
  },
  async putComment(place, comment, { id, signal }) {
    const { repository, number } = place;
    const { client, appId } = await speak(place, signal);
    const placed = { repository, number, ...comment };
    return putComment({ client, appId }, { comment: placed, knownId: id, signal });
  },
  async committedAt(repository, sha, signal) {
    const { client } = await speak({ repository, baseBranch: null }, signal);
    return findCommitterDate(client, { repository, sha }, signal);
  },
});
