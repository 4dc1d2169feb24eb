import { lazyModule } from '../common/lazy-module.js'

/** Share groups, loaded with the first share consumer, or where there has been one: apart from the other later parts, since they are made of more than those need. */
export const sharing = lazyModule(import.meta.url, './share/share-groups.js', () => import('./share/share-groups.js'))
