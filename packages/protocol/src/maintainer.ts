// Who maintains what by the server's own table, and who wants to.
import { z } from 'zod';

const moment = z.number();

/** An attribute path, as jobs name it. */
const attr = z
  .string()
  .min(1)
  .max(500)
  .regex(/^\P{C}*$/u, 'must be printable');

const Maintainer = z
  .object({
    attr: z.string(),
    /** The host of the forge that knows them: `github.com`. */
    forge: z.string(),
    /** The forge's; it stays when the login changes. */
    id: z.int().nonnegative(),
    /** As of when they were made one. */
    login: z.string(),
    /** Login of an admin, or `operator`. */
    grantedBy: z.string(),
    /** Milliseconds since 1970. */
    grantedAtMs: moment,
  })
  .meta({ id: 'Maintainer' });
export const Maintainers = z.object({ maintainers: z.array(Maintainer) }).meta({ id: 'Maintainers' });

export const MaintainedPaths = z
  .object({
    /** In order. */
    attrs: z.array(z.string()),
  })
  .meta({ id: 'MaintainedPaths' });

export const MaintainerRequest = z
  .object({
    id: z.int().nonnegative(),
    attr: z.string(),
    forge: z.string(),
    login: z.string(),
    state: z.enum(['pending', 'granted', 'refused']),
    askedAtMs: moment,
    /** Null while it is pending. */
    decidedBy: z.string().nullable(),
    decidedAtMs: moment.nullable(),
  })
  .meta({ id: 'MaintainerRequest' });
export type MaintainerRequest = z.infer<typeof MaintainerRequest>;

export const MaintainerRequests = z
  .object({
    /** Newest first, at most 1000. */
    requests: z.array(MaintainerRequest),
  })
  .meta({ id: 'MaintainerRequests' });

export const MaintainerAsk = z.strictObject({ attr });
export type MaintainerAsk = z.infer<typeof MaintainerAsk>;

export const NewMaintainer = z.strictObject({
  /** `github`, or the host of the forge. */
  forge: z.string().min(1).max(255),
  /** Of somebody who has signed in. */
  login: z.string().min(1).max(255),
});
export type NewMaintainer = z.infer<typeof NewMaintainer>;

export const AttrParams = z.object({ attr });
export const MaintainerParams = z.object({
  attr,
  forge: z.string().min(1).max(255),
  login: z.string().min(1).max(255),
});
export const MaintainerRequestParams = z.object({ id: z.coerce.number().int().nonnegative() });
export const MaintainerRequestsQuery = z.object({
  state: z.enum(['pending', 'granted', 'refused']).optional(),
});
