import { createRequire } from 'node:module'

/** The compiler, required: an import would first read its nine megabytes for the names of what it exports. */
const ts = createRequire(import.meta.url)('typescript') as typeof import('typescript')
export default ts
