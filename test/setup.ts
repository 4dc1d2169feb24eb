import { beforeAll } from 'vitest'
import { modulesLoaded } from '../src/common/lazy-module.js'

/** From their source, modules that are loaded when they are first needed are imported ahead instead (src/common/lazy-module.ts). */
beforeAll(modulesLoaded)
