// The metadata services of EC2, ECS, GCP and Azure, each at a place of its own.
import { type Asked, type Given, type HttpDouble, startHttpDouble } from './http-double.ts';

export interface AwsRoleKeys {
  readonly id: string;
  readonly secret: string;
  readonly token: string;
  readonly endsAtMs: number;
}

const keysBody = ({ id, secret, token, endsAtMs }: AwsRoleKeys) => ({
  Code: 'Success',
  Type: 'AWS-HMAC',
  ...{ AccessKeyId: id, SecretAccessKey: secret, Token: token },
  Expiration: new Date(endsAtMs).toISOString(),
});

const noPage: Given = { status: 404, body: 'Not Found' };

export interface Ec2State {
  /** Null: no role is attached. */
  role: AwsRoleKeys | null;
  isOff: boolean;
}

/** IMDSv2 alone: who has no session is refused. */
export const startEc2Double = async (state: Ec2State): Promise<HttpDouble> => {
  const sessions = new Set<string>();
  const roles = '/latest/meta-data/iam/security-credentials/';
  return await startHttpDouble(({ method, target, headers }: Asked): Given => {
    if (state.isOff) return { status: 403 };
    if (target === '/latest/api/token') {
      const seconds = Number(headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (method !== 'PUT' || !(seconds >= 1 && seconds <= 21_600)) return { status: 400 };
      const session = `session-${sessions.size}==`;
      sessions.add(session);
      return { status: 200, body: session };
    }
    if (!sessions.has(String(headers['x-aws-ec2-metadata-token'] ?? ''))) return { status: 401 };
    if (state.role === null) return noPage;
    if (target === roles) return { status: 200, body: 'ci-role\n' };
    return target === `${roles}ci-role` ? { status: 200, body: keysBody(state.role) } : noPage;
  });
};

/** Of a container; asked with the token in `authorization`. */
export const startEcsDouble = (keys: AwsRoleKeys, authorization: string | null): Promise<HttpDouble> =>
  startHttpDouble(({ target, headers }) => {
    if (target !== '/v2/credentials/task-1') return noPage;
    if (authorization !== null && headers.authorization !== authorization) return { status: 401 };
    return { status: 200, body: keysBody(keys) };
  });

const google = { 'metadata-flavor': 'Google', server: 'Metadata Server for VM' };

export const startGcpDouble = (state: { token: string | null }): Promise<HttpDouble> =>
  startHttpDouble(({ target, headers }) => {
    if (headers['metadata-flavor'] !== 'Google') return { status: 403, headers: google };
    const isToken = target === '/computeMetadata/v1/instance/service-accounts/default/token';
    if (!isToken || state.token === null) return { ...noPage, headers: google };
    const body = { access_token: state.token, expires_in: 3599, token_type: 'Bearer' };
    return { status: 200, headers: google, body };
  });

export const startAzureDouble = (state: { token: string | null }): Promise<HttpDouble> =>
  startHttpDouble(({ target, headers }) => {
    const url = new URL(target, 'http://h');
    if (url.pathname !== '/metadata/identity/oauth2/token') return noPage;
    const isWhole =
      headers['metadata'] === 'true' &&
      url.searchParams.has('api-version') &&
      url.searchParams.has('resource');
    if (!isWhole) return { status: 400, body: { error: 'bad_request_102' } };
    if (state.token === null)
      return { status: 400, body: { error: 'invalid_request', error_description: 'Identity not found' } };
    return { status: 200, body: { access_token: state.token, expires_in: '86399', token_type: 'Bearer' } };
  });
