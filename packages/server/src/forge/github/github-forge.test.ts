// One of several GitHubs: whose webhook it is, and whose people.
import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../config/secret.ts';
import { createGithubForge, isOfGithubCom, webUrlOf } from './github-forge.ts';
import { createGithubHttp } from './github-http.ts';

const secret = 'one secret for all of them';

const forgeAt = (apiUrl: string, hasNeighbours: boolean) =>
  createGithubForge({
    webUrl: webUrlOf(apiUrl),
    http: createGithubHttp({ apiUrl, clock: Date.now }),
    apps: [],
    webhookSecrets: [new Secret(secret)],
    ...{ hasNeighbours, knowsGithubIds: isOfGithubCom(apiUrl), clock: Date.now },
  });

const delivery = (event: string, payload: object, more: Readonly<Record<string, string>> = {}) => {
  const body = Buffer.from(JSON.stringify(payload));
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const headers = {
    ...{ 'content-type': 'application/json', 'x-github-delivery': 'guid', 'x-github-event': event },
    ...{ 'x-hub-signature-256': `sha256=${signature}`, ...more },
  };
  return { headers, body };
};

const closedAt = (url: string) => ({
  action: 'deleted',
  repository: {
    ...{ id: 1, name: 'r', full_name: 'o/r', private: false, default_branch: 'main' },
    ...{ html_url: `${url}/o/r`, owner: { id: 2, login: 'o', type: 'User' } },
  },
  sender: { id: 2, login: 'o', type: 'User', html_url: `${url}/o` },
});

describe('a webhook, where one address is for several', () => {
  const enterprise = 'https://ghe.example';
  const forges = (hasNeighbours: boolean) =>
    ['https://api.github.com', `${enterprise}/api/v3`].map((apiUrl) => forgeAt(apiUrl, hasNeighbours));
  const readBy = (given: ReturnType<typeof delivery>, hasNeighbours = true) =>
    forges(hasNeighbours).map((forge) => {
      const reading = forge.read(given);
      return reading.kind === 'refused' ? `${reading.status} ${reading.reason}` : reading.kind;
    });

  it('is taken by the one whose pages it names in what is proven, whatever its headers say', () => {
    const ofEnterprise = closedAt(enterprise);
    expect(readBy(delivery('repository', ofEnterprise))).toEqual(['401 other-host', 'event']);
    const lie = { 'x-github-enterprise-host': 'github.com' };
    expect(readBy(delivery('repository', ofEnterprise, lie))).toEqual(['401 other-host', 'event']);
    expect(readBy(delivery('repository', closedAt('https://GitHub.com')))).toEqual([
      'event',
      '401 other-host',
    ]);
    expect(readBy(delivery('repository', closedAt('https://elsewhere.example')))).toEqual([
      '401 other-host',
      '401 other-host',
    ]);
  });

  it('is refused where it names none, but for a ping', () => {
    const { repository, sender, ...rest } = closedAt(enterprise);
    const nameless = {
      ...rest,
      repository: { ...repository, html_url: undefined },
      sender: { ...sender, html_url: undefined },
    };
    expect(readBy(delivery('repository', nameless))).toEqual(['401 other-host', '401 other-host']);
    expect(readBy(delivery('ping', { zen: 'z' }))).toEqual(['event', 'event']);
  });

  it('is taken from whatever host where there is but one', () => {
    expect(readBy(delivery('repository', closedAt('https://alias.example')), false)).toEqual([
      'event',
      'event',
    ]);
  });
});

it.each([
  ['https://api.github.com', true],
  ['https://ghe.example/api/v3', false],
  ['https://api.octo.ghe.com', false],
  ['https://api.github.com.evil.example', false],
  ['http://127.0.0.1:1234', true],
])('the people of %s are those of github.com: %s', (apiUrl, expected) => {
  expect(forgeAt(apiUrl, false).knowsGithubIds).toBe(expected);
});
