// The page of the API's document: every operation under an anchor of its own, every type once. Nothing on it runs.
import { escapeHtml } from '../html-text.ts';
import { docsStylePath } from '../pages.ts';
import type { OpenApiDocument, Operation, Parameter } from './openapi-document.ts';
import { anchorOfSchema, boundsOf, schemaHtml } from './schema-html.ts';

interface Listed {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
}

const listOperations = ({ paths }: OpenApiDocument): Listed[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

/** In the order in which tags are first met. */
const byTag = (operations: readonly Listed[]): Map<string, Listed[]> => {
  const groups = new Map<string, Listed[]>();
  for (const listed of operations) {
    const tag = listed.operation.tags[0] ?? 'other';
    groups.set(tag, [...(groups.get(tag) ?? []), listed]);
  }
  return groups;
};

const code = (html: string): string => `<code>${html}</code>`;

/** A long address may break after each of its parts. */
const pathHtml = (path: string): string => escapeHtml(path).replaceAll('/', '/<wbr>');

const headOf = ({ method, path }: Listed): string =>
  `<span class="method ${escapeHtml(method)}">${escapeHtml(method.toUpperCase())}</span> ${code(pathHtml(path))}`;

const parameterHtml = ({ name, in: place, required, description, schema }: Parameter): string => {
  const facts = [
    place === 'path' ? 'in the path' : place === 'query' ? 'in the query' : `in the ${place}`,
    required === true ? 'required' : 'optional',
    ...(schema === undefined ? [] : boundsOf(schema)),
    ...(description === undefined ? [] : [description]),
  ];
  const type = schema === undefined ? 'any' : schemaHtml(schema);
  return `<dt>${code(escapeHtml(name))} <span class="type">${type}</span></dt><dd>${escapeHtml(facts.join(', '))}</dd>\n`;
};

const contentHtml = (content: Operation['responses'][string]['content']): string =>
  Object.entries(content ?? {})
    .map(([type, { schema }]) => {
      const shown = schema === undefined ? '' : `<pre>${schemaHtml(schema)}</pre>`;
      return `<p class="type">${escapeHtml(type)}</p>${shown}`;
    })
    .join('');

const responsesHtml = ({ responses }: Operation): string =>
  Object.entries(responses)
    .map(([status, { description, content }]) => {
      // An error has one shape, which is told once.
      const body = Number(status) >= 400 ? '' : contentHtml(content);
      return `<dt>${code(escapeHtml(status))} ${escapeHtml(description)}</dt><dd>${body}</dd>\n`;
    })
    .join('');

const operationHtml = (listed: Listed): string => {
  const { operation } = listed;
  const { operationId, summary, description, parameters = [], requestBody } = operation;
  const parts = [
    description === undefined ? '' : `<p>${escapeHtml(description)}</p>`,
    parameters.length === 0 ? '' : `<h4>Parameters</h4><dl>\n${parameters.map(parameterHtml).join('')}</dl>`,
    requestBody === undefined ? '' : `<h4>Body</h4>${contentHtml(requestBody.content)}`,
    `<h4>Answers</h4><dl>\n${responsesHtml(operation)}</dl>`,
  ];
  const id = escapeHtml(operationId);
  return `<article id="${id}">
<h3>${headOf(listed)}</h3>
<p class="summary">${escapeHtml(summary)} <a class="anchor" href="#${id}" aria-label="Link to ${id}">#</a></p>
${parts.filter((part) => part !== '').join('\n')}
</article>
`;
};

const navigationHtml = (groups: ReadonlyMap<string, readonly Listed[]>): string =>
  [...groups]
    .map(([tag, operations]) => {
      const entries = operations.map(
        (listed) => `<li><a href="#${escapeHtml(listed.operation.operationId)}">${headOf(listed)}</a></li>\n`,
      );
      return `<h2><a href="#tag-${escapeHtml(tag)}">${escapeHtml(tag)}</a></h2>\n<ul>\n${entries.join('')}</ul>\n`;
    })
    .join('');

const schemasHtml = ({ components }: OpenApiDocument): string =>
  Object.entries(components.schemas)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, schema]) => {
      const id = escapeHtml(anchorOfSchema(name));
      return `<article id="${id}">\n<h3>${code(escapeHtml(name))}</h3>\n<pre>${schemaHtml(schema)}</pre>\n</article>\n`;
    })
    .join('');

export const renderDocs = (document: OpenApiDocument): string => {
  const { title, version, description } = document.info;
  const groups = byTag(listOperations(document));
  const operations = [...groups].map(([tag, listed]) => {
    const name = escapeHtml(tag);
    return `<section aria-labelledby="tag-${name}">\n<h2 id="tag-${name}">${name}</h2>\n${listed.map(operationHtml).join('')}</section>\n`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} API</title>
<link rel="stylesheet" href="${docsStylePath}">
</head>
<body>
<header>
<h1>${escapeHtml(title)} API <span class="version">${escapeHtml(version)}</span></h1>
<p>${escapeHtml(description)} Also as <a href="/v1/openapi.json">OpenAPI document</a>. <a href="#errors">Errors</a>, <a href="#types">types</a>.</p>
</header>
<div class="columns">
<nav aria-label="Operations">
${navigationHtml(groups)}</nav>
<main>
${operations.join('')}<section aria-labelledby="errors">
<h2 id="errors">Errors</h2>
<p>Every answer that is not a success is an <a href="#${anchorOfSchema('Error')}">Error</a>: a code that does not change, and a message that says what to do.</p>
</section>
<section aria-labelledby="types">
<h2 id="types">Types</h2>
${schemasHtml(document)}</section>
</main>
</div>
</body>
</html>
`;
};
