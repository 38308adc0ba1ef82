// What a development server is given to judge: the demo's repository, by itself or on a GitHub that is none.
import { createDemoTown } from '../demo/github-town.ts';
import { createDemoRepository } from '../demo/repository.ts';
import { askForApproval, findFreePort, githubTables, gitTable, writeServiceConfig } from '../demo/service.ts';

export interface DevSite {
  readonly env: Readonly<Record<string, string>>;
  /** Writes the configuration of the next server. `port`: where the one before was; 0 before the first. @returns its path */
  configure(port: number): Promise<string>;
  /** What is said when the first server listens, beside its address. */
  readonly hints: readonly string[];
  stop(): Promise<void>;
}

/** @param folder empty, and the caller's to remove @throws Error where git cannot do its part */
export type OpenDevSite = (folder: string) => Promise<DevSite>;

export const openGitSite: OpenDevSite = async (folder) => {
  const { path } = await createDemoRepository(folder);
  return {
    env: {},
    configure: (port) => writeServiceConfig({ folder, port, serves: gitTable(path) }),
    hints: [],
    stop: async () => {},
  };
};

export const openGithubSite: OpenDevSite = async (folder) => {
  // Webhooks are sent to where the server is going to be.
  const port = await findFreePort();
  const repository = await createDemoRepository(folder);
  const { github, env, page, pullPage, cloneUrl, otherBranches } = await createDemoTown(
    repository,
    `http://127.0.0.1:${port}`,
  );
  return {
    env,
    configure: () =>
      writeServiceConfig({ folder, port, settings: askForApproval, serves: githubTables(github.apiUrl) }),
    hints: [
      `A GitHub that is none is at ${page}`,
      `Its pull request is at ${pullPage}: checks appear there by themselves.`,
      `${otherBranches} more branches become pull requests by a button on its first page; the one from outside waits for approval. Or push one:`,
      `  git clone ${cloneUrl}`,
      'You are ada, who may write there, or bo, who may not. Say "@eka-ci help" in a pull request, or "@eka-ci merge".',
    ],
    stop: () => github.stop(),
  };
};
