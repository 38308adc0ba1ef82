// All routes of the REST API.
import type { Routes } from '../http/call.ts';
import { createAppRoutes, type Redeliver } from './app-routes.ts';
import { checkRoutes } from './check-routes.ts';
import { codeRoutes } from './code-routes.ts';
import { commentRoutes } from './comment-routes.ts';
import { peopleRoutes } from './people-routes.ts';
import { pullRoutes } from './pull-routes.ts';
import { repositoryRoutes } from './repository-routes.ts';

export const createRoutes = (redeliver: Redeliver): Routes => ({
  ...createAppRoutes(redeliver),
  ...checkRoutes,
  ...codeRoutes,
  ...commentRoutes,
  ...peopleRoutes,
  ...pullRoutes,
  ...repositoryRoutes,
});
