// What a server with a given configuration may not do at all (start), and what it says each time that it does.
import { missingTokens } from './forge-variables.ts';
import type { ServerConfig } from './server-config-defaults.ts';

/** A sentence that says what to do. Every reason not to start is, so far, that a secret is missing. */
export type StartFault = { readonly about: 'secret'; readonly message: string };

/** Whoever sees one signed delivery can try shorter ones at leisure. */
const shortestSecret = 16;

/** Everything that forbids a start; an empty list lets the server start. */
export const startFaults = (config: ServerConfig): StartFault[] => {
  const messages = missingTokens(config);
  const { webhook_secret: secrets, allow_insecure_webhooks: insecure } = config.security;
  if (secrets.length === 0 && !insecure) {
    messages.unshift(
      'there is no webhook secret: set WEBHOOK_SECRET (or security.webhook_secret), or, for development alone, ' +
        'security.allow_insecure_webhooks = true',
    );
  }
  const { client_id: id, client_secret: secret } = config.oauth;
  if (id !== undefined && secret === undefined) {
    messages.push('oauth.client_id is set without oauth.client_secret: set GITHUB_OAUTH_CLIENT_SECRET');
  }
  return messages.map((message) => ({ about: 'secret', message }));
};

const webhookWarnings = ({ security }: ServerConfig): string[] => {
  const { webhook_secret: secrets, allow_insecure_webhooks: insecure } = security;
  if (secrets.length === 0) {
    return insecure
      ? ['webhooks are taken from anybody: security.allow_insecure_webhooks is true and there is no secret']
      : [];
  }
  const warnings = insecure
    ? ['security.allow_insecure_webhooks has no effect: a webhook secret is set, and is asked for']
    : [];
  if (secrets.some((secret) => secret.reveal().length < shortestSecret)) {
    warnings.push(`a webhook secret is shorter than ${shortestSecret} characters and may be guessed`);
  }
  return warnings;
};

/** The cookies of a sign-in are for the host where it began. */
const redirectWarnings = ({ oauth, web }: ServerConfig): string[] =>
  new URL(oauth.redirect_url).host === new URL(web.public_url).host
    ? []
    : [
        `nobody who signs in at ${web.public_url} comes back there, for oauth.redirect_url is ${oauth.redirect_url}: ` +
          'give both one host',
      ];

const sessionWarnings = (config: ServerConfig): string[] => {
  const { oauth, admins } = config;
  if (oauth.client_id === undefined) {
    const unused = oauth.client_secret !== undefined || admins.length > 0;
    return unused ? ['nobody can sign in, the admins neither: set oauth.client_id'] : [];
  }
  return [...redirectWarnings(config), ...secretWarnings(config)];
};

const secretWarnings = ({ oauth }: ServerConfig): string[] => {
  if (oauth.jwt_secret === undefined) {
    return ['sessions end with this process: set JWT_SECRET to keep them over restarts'];
  }
  return oauth.jwt_secret.reveal().length < shortestSecret
    ? [`oauth.jwt_secret is shorter than ${shortestSecret} characters and may be guessed`]
    : [];
};

const isEverywhere = (address: string): boolean => address === '0.0.0.0' || /^[0:]+$/.test(address);

const addressWarnings = ({ web, unix }: ServerConfig): string[] => {
  const warnings: string[] = [];
  if (isEverywhere(web.address) && /^http:\/\/(?:0\.0\.0\.0|\[[0:]+\]):/.test(web.public_url)) {
    warnings.push(`links on the forge would lead to ${web.public_url}: set web.public_url`);
  }
  const groupRights = Number(unix.socket_mode.at(-2));
  if (unix.socket_group !== undefined && groupRights < 6) {
    warnings.push(
      `unix.socket_mode is ${unix.socket_mode}: it keeps the group ${unix.socket_group} out of the socket; set it to 0660`,
    );
  }
  if (!unix.socket_mode.endsWith('0')) {
    warnings.push(
      `unix.socket_mode is ${unix.socket_mode}: every user of this machine who can open the socket is an admin`,
    );
  }
  return warnings;
};

/** What a start warns of, each time. */
export const startWarnings = (config: ServerConfig): string[] => [
  ...webhookWarnings(config),
  ...sessionWarnings(config),
  ...addressWarnings(config),
];
