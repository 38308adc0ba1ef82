// `ekaci git`: has a running server judge a commit of a repository at a forge.
import type { Command } from 'commander';
import { repositoryUrl } from '../repository-url.ts';
import { judgeOnServer, type SubmitOptions, submitCommand } from '../review/submit-command.ts';

const git = async (
  domain: string,
  owner: string,
  repository: string,
  ...[commitish, options, command]: [string, SubmitOptions, Command]
): Promise<void> => {
  const url = repositoryUrl(domain, owner, repository);
  if (url === null) {
    return command.error(
      'error: name the domain, the owner and the repository, such as: ekaci git git.example.org ada packages main',
      { exitCode: 2 },
    );
  }
  const { base, build } = options;
  await judgeOnServer(
    'ekaci git',
    {
      source: { kind: 'url', url },
      base: base === undefined ? { kind: 'default-or-nothing' } : { kind: 'revision', revision: base },
      head: commitish,
      merge: true,
      jobs: [],
      file: null,
      build,
      sandbox: 'required',
    },
    options,
  );
};

export const gitCommand = (): Command =>
  submitCommand('git', {
    summary: 'have the server judge a commit of a repository at a forge',
    examples: [
      'ekaci git github.com ada packages update-openssl',
      'ekaci git git.example.org ada packages v1.2 --base main --markdown',
      'ekaci git gitlab.com group/subgroup packages 2f5c0d3f0c1b6a5e4d3c2b1a09f8e7d6c5b4a392 --detach',
    ],
    defaultBase: 'the default branch; nothing for the default branch itself',
  })
    .argument('<domain>', 'of the forge')
    .argument('<owner>', 'of the repository')
    .argument('<repo>', 'its name')
    .argument('<commitish>', 'a branch, a tag, or a commit by all its digits')
    .action(git);
