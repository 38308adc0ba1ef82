// Tokens that only this server can have made: JWTs for sessions, and for the minutes of a sign-in. What one kind says
// is worth nothing as the other, for each has a key of its own.
import { createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { Secret } from '../config/secret.ts';

export type TokenPurpose = 'session' | 'sign-in';

export interface SignedClaims {
  /** Names this token, so that it can be revoked. */
  readonly id: string;
  readonly expiresAtMs: number;
  /** JSON values. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface SignedTokens {
  sign(purpose: TokenPurpose, signed: SignedClaims): Promise<string>;
  /** Null for whatever we did not make for this purpose, and for what has expired. Never throws. */
  verify(purpose: TokenPurpose, token: string): Promise<SignedClaims | null>;
}

export interface SignedTokensDeps {
  /** Null: a random one; what it signs ends with the process. */
  readonly secret: Secret | null;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const issuer = 'eka-ci';
const algorithm = 'HS256';
/** A browser sends no longer cookies, and nobody should have us hash megabytes. */
const maxTokenLength = 8192;

interface Key {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** @see RFC 5869: two keys of one secret tell nothing of each other */
const deriveKey = (secret: Uint8Array | string, purpose: TokenPurpose): Key => {
  const bytes = new Uint8Array(hkdfSync('sha256', secret, '', `eka-ci ${purpose}`, 32));
  // Of the key, not of the secret: it goes with each token.
  const id = createHash('sha256').update('key id').update(bytes).digest('base64url').slice(0, 12);
  return { id, bytes };
};

/** Loaded when the first token is made or shown: most servers start without one. */
const load = async () => {
  const [{ SignJWT }, { jwtVerify }, { JOSEError }] = await Promise.all([
    import('jose/jwt/sign'),
    import('jose/jwt/verify'),
    import('jose/errors'),
  ]);
  return { SignJWT, jwtVerify, JOSEError };
};

export const createSignedTokens = ({ secret, clock }: SignedTokensDeps): SignedTokens => {
  const source = secret === null ? randomBytes(32) : secret.reveal();
  const keys: Readonly<Record<TokenPurpose, Key>> = {
    session: deriveKey(source, 'session'),
    'sign-in': deriveKey(source, 'sign-in'),
  };
  return {
    async sign(purpose, { id, expiresAtMs, claims }) {
      const { SignJWT } = await load();
      const key = keys[purpose];
      return await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: algorithm, typ: 'JWT', kid: key.id })
        .setIssuer(issuer)
        .setAudience(purpose)
        .setJti(id)
        .setIssuedAt(new Date(clock()))
        .setExpirationTime(new Date(expiresAtMs))
        .sign(key.bytes);
    },
    async verify(purpose, token) {
      if (token.length > maxTokenLength) return null;
      const { jwtVerify, JOSEError } = await load();
      const key = keys[purpose];
      try {
        const { payload, protectedHeader } = await jwtVerify(token, key.bytes, {
          algorithms: [algorithm],
          issuer,
          audience: purpose,
          currentDate: new Date(clock()),
          requiredClaims: ['jti', 'exp'],
        });
        const { jti = '', exp = 0, ...claims } = payload;
        return protectedHeader.kid === key.id ? { id: jti, expiresAtMs: exp * 1000, claims } : null;
      } catch (error) {
        if (error instanceof JOSEError) return null;
        throw error;
      }
    },
  };
};
