// People, bots and organizations as GitHub shows them.
import type { Account } from '../state/entities.ts';
import type { JsonObject } from '../state/json.ts';
import type { World } from '../state/world.ts';
import { isoTime, nodeId } from './node-id.ts';

const userUrls = {
  followers_url: '/followers',
  following_url: '/following{/other_user}',
  gists_url: '/gists{/gist_id}',
  starred_url: '/starred{/owner}{/repo}',
  subscriptions_url: '/subscriptions',
  organizations_url: '/orgs',
  repos_url: '/repos',
  events_url: '/events{/privacy}',
  received_events_url: '/received_events',
} as const;

export const renderUser = ({ urls }: World, account: Account): JsonObject => {
  const url = `${urls.api}/users/${encodeURIComponent(account.login)}`;
  return {
    login: account.login,
    id: account.id,
    node_id: nodeId(account.kind, account.id),
    avatar_url: `${urls.web}/avatars/u/${account.id}?v=4`,
    gravatar_id: '',
    url,
    html_url: `${urls.web}/${account.kind === 'Bot' ? 'apps/' : ''}${account.login.replace(/\[bot\]$/, '')}`,
    ...Object.fromEntries(Object.entries(userUrls).map(([key, suffix]) => [key, url + suffix])),
    type: account.kind,
    user_view_type: 'public',
    site_admin: false,
  };
};

export const renderProfile = (world: World, account: Account): JsonObject => ({
  ...renderUser(world, account),
  name: account.name,
  company: null,
  blog: '',
  location: null,
  email: account.email,
  hireable: null,
  bio: null,
  twitter_username: null,
  public_repos: 0,
  public_gists: 0,
  followers: 0,
  following: 0,
  created_at: isoTime(account.createdAtMs),
  updated_at: isoTime(account.createdAtMs),
});

export const renderOrganization = ({ urls }: World, account: Account): JsonObject => {
  const url = `${urls.api}/orgs/${account.login}`;
  return {
    login: account.login,
    id: account.id,
    node_id: nodeId('Organization', account.id),
    url,
    repos_url: `${url}/repos`,
    events_url: `${url}/events`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues`,
    members_url: `${url}/members{/member}`,
    public_members_url: `${url}/public_members{/member}`,
    avatar_url: `${urls.web}/avatars/u/${account.id}?v=4`,
    description: '',
  };
};
