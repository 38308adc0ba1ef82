// What a runner tells of an evaluation, believed as far as it can be: in its shape, within bounds, each attribute once, and
// with the facts of a derivation from the file that Nix wrote.
import type { EvaluationRecord } from '@eka-ci/core/evaluation';
import { printAttrPath } from '@eka-ci/nix/evaluator/attr-path';
import { readEvaluatedDerivation } from '@eka-ci/nix/evaluator/evaluated-derivation';
import type { EvaluationEnd, EvaluationEvent } from '@eka-ci/nix/evaluator/evaluator';
import { stripControls } from '@eka-ci/nix/evaluator/failure';
import { z } from 'zod';
import { ToldEvent, type ToldRecord } from './evaluation-protocol.ts';
import { RunnerProtocolError } from './runner-protocol.ts';

export interface ToldEvaluation {
  /** One event, as it may be passed on. @throws RunnerProtocolError */
  event(body: Buffer): EvaluationEvent;
  /** @throws RunnerProtocolError where it does not fit what was told before */
  end(end: EvaluationEnd): EvaluationEnd;
}

/** Of one evaluation. */
export type ToldBounds = Readonly<Record<'bytes' | 'records' | 'lines' | 'warnings', number>>;

/** More than ten times what the largest package set there is comes to; an evaluator has the same bound on attributes. */
const largestSet: ToldBounds = { bytes: 1024 ** 3, records: 1_000_000, lines: 5000, warnings: 100 };

/** Some times what a record has at most. What is larger would keep everybody else waiting while it is taken apart. */
const maxEventBytes = 4 * 1024 * 1024;

const parseEvent = (body: Buffer): ToldEvent => {
  if (body.length > maxEventBytes) throw new RunnerProtocolError(`an event has ${body.length} bytes`);
  const event = ToldEvent.safeParse(parseJson(body));
  if (!event.success) throw new RunnerProtocolError(z.prettifyError(event.error));
  return event.data;
};

const parseJson = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new RunnerProtocolError('an event is no JSON');
  }
};

const recordOf = (told: ToldRecord, storeDir: string): EvaluationRecord => {
  if (told.attr !== printAttrPath(told.attrPath)) {
    throw new RunnerProtocolError(`${told.attr.slice(0, 200)} is not the name of its attribute path`);
  }
  if (told.kind !== 'derivation') return told;
  const { kind, attr, attrPath, drvPath, meta, metaError } = told;
  const read = readEvaluatedDerivation(drvPath, storeDir);
  if (read.kind === 'refused') throw new RunnerProtocolError(read.reason.slice(0, 500));
  return { kind, attr, attrPath, ...read.facts, meta, metaError };
};

export const createToldEvaluation = (storeDir: string, most: ToldBounds = largestSet): ToldEvaluation => {
  const attrs = new Set<string>();
  const told = { bytes: 0, records: 0, lines: 0, warnings: 0 };
  const add = (what: keyof typeof most, amount: number): void => {
    told[what] += amount;
    if (told[what] > most[what]) throw new RunnerProtocolError(`more than ${most[what]} ${what} were told`);
  };
  return {
    event: (body) => {
      add('bytes', body.length);
      const event = parseEvent(body);
      switch (event.type) {
        case 'record':
          add('records', 1);
          if (attrs.has(event.record.attr)) {
            throw new RunnerProtocolError(`${event.record.attr.slice(0, 200)} was told twice`);
          }
          attrs.add(event.record.attr);
          return { type: 'record', record: recordOf(event.record, storeDir) };
        case 'log':
          add('lines', 1);
          return { type: 'log', line: stripControls(event.line) };
        case 'warning':
          add('warnings', 1);
          return { type: 'warning', message: stripControls(event.message) };
        case 'progress':
        case 'worker-restarted':
          return event;
      }
    },
    end: (end) => {
      if (end.kind === 'complete' && end.records !== told.records) {
        throw new RunnerProtocolError(`${end.records} records were to come, and ${told.records} came`);
      }
      return end;
    },
  };
};
