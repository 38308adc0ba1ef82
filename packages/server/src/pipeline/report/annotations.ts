// Where in the repository a gate points. Positions are what Nix code says of itself: they lead where they want, until they
// are read here. Pure.
import { configFiles } from '../../config/repository-config.ts';
import type { GateAnnotation } from '../../forge/gate.ts';
import { parseSafePath } from '../../lib/safe-path.ts';

/** As the change summary has it. */
export interface ReportedPosition {
  readonly file: string;
  readonly line: number;
}

export interface Pointed {
  /** Null where none is known. */
  readonly position: ReportedPosition | null;
  /** Of the job: pointed at where the position leads out of the repository, or nowhere. Null where it has none. */
  readonly file: string | null;
}

/** Files of more lines are nobody's. */
const mostLines = 1_000_000;

const isLine = (line: number): boolean => Number.isSafeInteger(line) && line >= 1 && line <= mostLines;

/** Absolute ones are of another store path, or of this machine. */
const pathWithin = (file: string): string | null => {
  if (file.startsWith('/')) return null;
  const parsed = parseSafePath(file);
  return parsed.kind === 'refused' || parsed.path === '' ? null : parsed.path;
};

/** Here a leading slash is the root of the repository, and a folder means what Nix reads of it. */
const pathOfJob = (file: string): string | null => {
  const parsed = parseSafePath(file);
  if (parsed.kind === 'refused') return null;
  if (parsed.path.endsWith('.nix')) return parsed.path;
  return parsed.path === '' ? 'default.nix' : `${parsed.path}/default.nix`;
};

const placeOf = ({ position, file }: Pointed): { readonly path: string; readonly line: number } | null => {
  const path = position === null || !isLine(position.line) ? null : pathWithin(position.file);
  if (path !== null && position !== null) return { path, line: position.line };
  const fallback = file === null ? null : pathOfJob(file);
  return fallback === null ? null : { path: fallback, line: 1 };
};

/** Colours and what else a terminal would obey; lines stay. */
const controls = /\u001b\[[0-9;?]*[ -/]*[@-~]|[^\P{Cc}\n\t]|\p{Cf}/gu;

/** At most one: none where there is no file to point at. What is said is shown as it is, for it comes from outside. */
export const annotationsAt = (
  pointed: Pointed,
  { title, message }: { readonly title: string; readonly message: string },
): GateAnnotation[] => {
  const place = placeOf(pointed);
  if (place === null) return [];
  const { path, line } = place;
  const said = message.replaceAll(controls, '').trim();
  const shown = { title: title.replaceAll(controls, ''), message: said === '' ? title : said };
  return [{ path, startLine: line, endLine: line, level: 'failure', ...shown }];
};

/** Where a configuration file says that it cannot be read. @param fault `CODE: what to do` */
export const positionOfFault = (fault: string): ReportedPosition | null => {
  const file = configFiles.find((one) => fault.startsWith(`CONFIG_INVALID: ${one}`));
  if (file === undefined) return null;
  const place = fault.slice(`CONFIG_INVALID: ${file}`.length);
  return { file, line: Number(/^:(\d{1,7}):\d+:/.exec(place)?.[1] ?? 1) };
};
