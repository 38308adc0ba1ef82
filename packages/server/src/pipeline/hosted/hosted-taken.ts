// What came of something that a hosted forge told.
import type { ChangeListing } from '../../database/database.ts';
import type { Taken } from '../intake.ts';

/** Of one repository. */
export interface HostedTaken extends Taken {
  /** Under which its changes are kept: `github.com/owner/repo`. */
  readonly repository: string;
  /** Changes that wait for approval since now. */
  readonly awaiting: readonly ChangeListing[];
}
