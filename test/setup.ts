import { beforeAll } from 'vitest'
import { modulesLoaded } from '../src/common/lazy-module.js'

/** Where Node cannot require ES modules, what is loaded when it is first needed is imported ahead instead (src/common/lazy-module.ts). */
beforeAll(modulesLoaded)
