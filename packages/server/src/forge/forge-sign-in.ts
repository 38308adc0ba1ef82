// Port: a forge that tells us who somebody is, in a browser that it sends back to us.
import type { ForgeUser } from './forge-event.ts';

export interface SignInAsking {
  /** Comes back with the browser: by it the answer is known to be to this question. */
  readonly state: string;
  /** SHA-256 of the verifier, in base64url (RFC 7636, S256). */
  readonly challenge: string;
}

export interface SignInProof {
  /** What the browser brought. */
  readonly code: string;
  /** Of the challenge; only who asked has it. */
  readonly verifier: string;
}

export type Identification =
  | { readonly kind: 'known'; readonly user: ForgeUser }
  /** The code was used before, is too old, or belongs to somebody else's question. */
  | { readonly kind: 'refused' };

export interface ForgeSignIn {
  /** How configuration and addresses call its kind. */
  readonly kind: 'github';
  /** Of its web pages, lower case: `github.com`. */
  readonly host: string;
  /** Where the browser is sent to be asked; asks nobody. */
  addressOf(asking: SignInAsking): string;
  /** Keeps nothing that the forge gave for it. Not to be repeated: a code is good once. @throws HostedForgeFault */
  identify(proof: SignInProof, signal: AbortSignal): Promise<Identification>;
}
