// The check runs of a commit on a page: what they came to, what they say, and their buttons.
import type { CheckRun, Repository } from '../../state/entities.ts';
import { latestRuns, runsOfSuite, suitesOf } from '../../state/lookup.ts';
import type { World } from '../../state/world.ts';
import { type Html, html } from './html.ts';
import { actionForm } from './layout.ts';

type Tone = 'good' | 'bad' | 'busy' | 'soft';

const tones: Readonly<Record<string, Tone>> = {
  success: 'good',
  failure: 'bad',
  timed_out: 'bad',
  action_required: 'busy',
  in_progress: 'busy',
};

const marks: Readonly<Record<Tone, string>> = { good: '✔', bad: '✘', busy: '●', soft: '○' };

const wordOf = ({ status, conclusion }: CheckRun): string => conclusion ?? status;

const mark = (word: string): Html => {
  const tone = tones[word] ?? 'soft';
  return html`<span class="mark ${tone}" aria-hidden="true">${marks[tone]}</span>`;
};

const checksOf = (world: World, repository: Repository, sha: string): CheckRun[] =>
  latestRuns(suitesOf(world, repository, sha).flatMap((suite) => runsOfSuite(world, suite)));

const worstFirst = [
  'failure',
  'timed_out',
  'action_required',
  'cancelled',
  'in_progress',
  'queued',
  'success',
];

/** All of a commit in one mark and word; null where there are none. */
export const checksInShort = (world: World, repository: Repository, sha: string): Html | null => {
  const words = checksOf(world, repository, sha).map(wordOf);
  const worst = worstFirst.find((word) => words.includes(word)) ?? words[0];
  return worst === undefined ? null : html`${mark(worst)}${worst.replace('_', ' ')}`;
};

const annotationText = ({ annotations }: CheckRun): Html[] =>
  annotations.map(
    ({ path, start_line: line, annotation_level: level, title, message }) =>
      html`<p><span class="${level === 'failure' ? 'bad' : 'busy'}">${level}</span> <code>${path}:${line}</code>
        ${title ?? ''}</p><pre>${message}</pre>`,
  );

const runItem = (run: CheckRun, path: string): Html => {
  const { id, name, output, detailsUrl, actions } = run;
  const buttons = actions.map(({ identifier, label, description }) =>
    actionForm(
      { command: 'pressAction', path, fields: { run: id, identifier } },
      html`<button class="main" title="${description}">${label}</button> `,
    ),
  );
  const again = actionForm(
    { command: 'rerequestRun', path, fields: { run: id } },
    html`<button>Re-run</button>`,
  );
  const word = wordOf(run);
  return html`<li><details id="run-${id}"><summary>${mark(word)}<b>${name}</b>
    <span class="${tones[word] ?? 'soft'}">${word.replace('_', ' ')}</span>
    <span class="soft">${output.title ?? ''}</span></summary>
    ${(output.summary ?? '') === '' ? null : html`<pre>${output.summary ?? ''}</pre>`}
    ${(output.text ?? '') === '' ? null : html`<pre>${output.text ?? ''}</pre>`}
    ${annotationText(run)}
    <p>${detailsUrl === null ? null : html`<a href="${detailsUrl}" rel="noreferrer">Details</a> `}${again}</p></details>
    ${buttons.length === 0 ? null : html`<p>${buttons}</p>`}</li>`;
};

export const checkList = (
  world: World,
  { repository, sha, path }: { readonly repository: Repository; readonly sha: string; readonly path: string },
): Html => {
  const runs = checksOf(world, repository, sha).toSorted((one, other) => (one.name < other.name ? -1 : 1));
  if (runs.length === 0) return html`<p class="soft">None yet: they appear here by themselves.</p>`;
  return html`<ul class="list">${runs.map((run) => runItem(run, path))}</ul>`;
};
