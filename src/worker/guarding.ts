import { lazyModule } from '../common/lazy-module.js'

/** What a worker needs for a query with a failure policy, loaded by the first. */
export const guarding = lazyModule(import.meta.url, './guarded.js', () => import('./guarded.js'))
