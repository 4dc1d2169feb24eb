import { describe, expect, it } from 'vitest'
import { QueryRegistry } from '../../src/api/query-registry.js'
import { checkSourceOptions, type SourceFormat } from '../../src/api/source-options.js'
import { StreamingQuery } from '../../src/api/streaming-query.js'
import { checkTrigger, queryMode, type Trigger } from '../../src/api/trigger.js'
import { checkOptionNames, consoleOptions } from '../../src/api/writer-options.js'
import { nodeEnv } from '../../src/common/env.js'
import { MillraceError } from '../../src/common/errors.js'
import { QueryHandle } from '../../src/execution/query-handle.js'

const codeOf = (call: () => unknown): string => {
  try {
    call()
  } catch (error) {
    if (error instanceof MillraceError)
      return `${error.code}: ${error.detail ?? ''}${error.hint === undefined ? '' : ` (${error.hint})`}`
    throw error
  }
  return 'no error'
}

describe('triggers', () => {
  it('are micro-batches, micro-batches until caught up, or continuous', () => {
    expect(queryMode({ processingTime: '1 second' })).toEqual({ kind: 'microBatch', intervalMs: 1000 })
    expect(queryMode({ availableNow: true })).toEqual({ kind: 'microBatch', intervalMs: 0, stopWhenCaughtUp: true })
    expect(queryMode({ once: true })).toEqual({ kind: 'microBatch', intervalMs: 0, stopWhenCaughtUp: true })
    expect(queryMode({ continuous: '10 ms' })).toEqual({ kind: 'continuous', intervalMs: 10 })
  })

  it.each([{}, { every: '1 second' }, { processingTime: 1, continuous: 1 }, { availableNow: false }, null])(
    '%j is refused',
    (trigger) => {
      expect(codeOf(() => checkTrigger(trigger as Trigger))).toMatch(/^INVALID_TRIGGER/)
    },
  )
})

describe('options of a reader', () => {
  const check = (format: SourceFormat, streaming: boolean, options: Record<string, string>): string =>
    codeOf(() => checkSourceOptions(format, streaming, new Map(Object.entries(options))))

  it('a stream may start at the end, a bounded read may not', () => {
    expect(check('log', true, { startingOffsets: 'latest' })).toBe('no error')
    expect(check('log', false, { startingOffsets: 'latest' })).toMatch(/^INVALID_OPTION/)
    expect(check('log', false, { startingOffsets: '{"t":{"0":-1}}' })).toMatch(/^INVALID_OPTION/)
    expect(check('log', true, { startingOffsets: '{"t":{"0":-1,"1":-2,"2":7}}' })).toBe('no error')
    expect(check('log', false, { endingOffsets: '{"t":{"0":9,"1":-1}}' })).toBe('no error')
    expect(check('log', true, { endingOffsets: 'latest' })).toMatch(/^INVALID_OPTION/)
  })

  it.each(['middle', '{', '[]', '{"t":3}', '{"t":{"x":1}}', '{"t":{"0":1.5}}', '{"t":{"0":"1"}}', '{"t":{"0":-3}}'])(
    'startingOffsets %s is refused',
    (startingOffsets) => {
      expect(check('log', true, { startingOffsets })).toMatch(/^INVALID_OPTION: .*expected earliest/)
    },
  )

  it('a name that does not exist is answered with the nearest, a cluster with what can be had', () => {
    expect(check('log', true, { startingOffset: 'latest' })).toMatch(
      /^UNKNOWN_OPTION: .*did you mean 'startingOffsets'/,
    )
    expect(check('log', true, { 'kafka.bootstrap.servers': 'embedded' })).toBe('no error')
    expect(check('log', true, { 'kafka.bootstrap.servers': 'host:9092' })).toMatch(/^INVALID_OPTION: .*'embedded'/)
    expect(check('rate', true, { rowsPerSecond: '0' })).toMatch(/^INVALID_OPTION/)
  })
})

describe('options of a writer', () => {
  it('belong to the sink', () => {
    expect(codeOf(() => checkOptionNames('console', new Map([['numrows', '5']])))).toMatch(/UNKNOWN_OPTION.*numRows/)
    expect(codeOf(() => checkOptionNames('noop', new Map([['numRows', '5']])))).toMatch(/^UNKNOWN_OPTION/)
    expect(consoleOptions(new Map([['truncate', 'false']]))).toEqual({ numRows: 20, truncate: false })
    expect(codeOf(() => consoleOptions(new Map([['numRows', 'all']])))).toMatch(/^INVALID_OPTION: found 'all'/)
  })
})

describe('queries', () => {
  const handle = (): QueryHandle => new QueryHandle('id-1', 'run-1', 'per-page', async () => {}, nodeEnv)

  it('two may not share a name or a checkpoint, and a name is free again at the end', () => {
    const queries = new QueryRegistry()
    const release = queries.claim('per-page', '/c/1')
    expect(codeOf(() => queries.claim('per-page', undefined))).toMatch(/^QUERY_NAME_IN_USE/)
    expect(codeOf(() => queries.claim('other', '/c/1'))).toMatch(/^CHECKPOINT_IN_USE/)
    // The refused claim must not keep its name.
    queries.claim('other', '/c/2')
    release()
    queries.claim('per-page', '/c/1')
  })

  it('a query that fails is inactive, tells its error to those who wait, and to nobody else', async () => {
    const ended: StreamingQuery[] = []
    const running = handle()
    const query = new StreamingQuery(
      running,
      'per-page',
      () => '',
      (q) => void ended.push(q),
    )
    running.terminated(new MillraceError('LOST', 'lost'))
    await expect(query.awaitTermination()).rejects.toThrow('lost')
    expect(query.isActive).toBe(false)
    expect(query.exception()?.code).toBe('LOST')
    expect(ended).toEqual([query])
    await query.stop()
  })

  it('waiting with a timeout tells whether the query has ended', async () => {
    const running = handle()
    const query = new StreamingQuery(
      running,
      null,
      () => '',
      () => {},
    )
    expect(await query.awaitTermination(1)).toBe(false)
    running.terminated(undefined)
    expect(await query.awaitTermination(60_000)).toBe(true)
  })
})
