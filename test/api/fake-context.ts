import type { EngineContext } from '../../src/api/engine-context.js'
import { NamedTables } from '../../src/api/memory-tables.js'
import { QueryRegistry } from '../../src/api/query-registry.js'
import { unknownName } from '../../src/api/unknown-name.js'
import { LOCAL_ROWS_MAX } from '../../src/plan/local-plan.js'
import type { StructType } from '../../src/types/data-type.js'
import { t } from '../../src/types/schema.js'

/** What DataFrames and readers need of an engine, as long as nothing runs. */
export const Click = t.struct({ userId: t.string, page: t.string, ts: t.timestamp, price: t.double.nullable() })

export function fakeContext(): EngineContext & { readonly printed: string[] } {
  const schemas: Record<string, StructType | undefined> = { clicks: Click.type, raw: undefined }
  const printed: string[] = []
  return {
    get session(): never {
      throw new Error('nothing runs here')
    },
    ansi: true,
    dir: undefined,
    localRowsMax: LOCAL_ROWS_MAX,
    queries: new QueryRegistry(),
    tables: new NamedTables(),
    topic(name) {
      if (!(name in schemas))
        throw unknownName('UNKNOWN_TOPIC', `there is no topic '${name}'`, name, Object.keys(schemas))
      return { name, id: `id-${name}`, partitions: 4, schema: schemas[name], storage: 'memory' }
    },
    printed,
    print: (text) => void printed.push(text),
  }
}
