import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { type Env, type FileHandle, nodeEnv } from '../../src/common/env.js'
import { temporaryDirectory, until } from '../log/log-fixture.js'
import { type ClientLog, gate, openClientLog, textOf } from './consumer-fixture.js'

const RECORDS = 40_000
const PADDING = 'x'.repeat(200)

describe('a consumer that reads far back', () => {
  let log: ClientLog
  let directory: { readonly path: string; remove(): void }
  /** Bytes of .log files that were read so that the thread stood still, and those that were not. */
  const read = { blocking: 0, later: 0 }
  let beforeLater: (() => void) | undefined

  const counted = (handle: FileHandle): FileHandle => ({
    path: handle.path,
    size: () => handle.size(),
    read(target, position) {
      const bytes = handle.read(target, position)
      if (handle.path.endsWith('.log')) read.blocking += bytes
      return bytes
    },
    async readLater(target, position) {
      const bytes = (await handle.readLater?.(target, position)) ?? 0
      if (handle.path.endsWith('.log')) read.later += bytes
      const between = beforeLater
      beforeLater = undefined
      between?.()
      return bytes
    },
    write: (source, position) => handle.write(source, position),
    truncate: (bytes) => handle.truncate(bytes),
    sync: () => handle.sync(),
    syncNow: () => handle.syncNow(),
    close: () => handle.close(),
  })
  const env: Env = {
    ...nodeEnv,
    fs: { ...nodeEnv.fs, open: (path, mode) => counted(nodeEnv.fs.open(path, mode)) },
  }

  beforeEach(async () => {
    directory = temporaryDirectory()
    log = await openClientLog({ dir: directory.path, fsync: 'never', env })
    log.createTopic('t', 1, { 'segment.bytes': 4 * 1024 * 1024, 'retention.ms': -1 })
    const producer = new Producer(log.host)
    for (let i = 0; i < RECORDS; i += 1000) {
      await producer.send({
        topic: 't',
        messages: Array.from({ length: 1000 }, (_, j) => ({
          value: `${i + j} ${PADDING}`,
          timestamp: 1_000_000 + i + j,
        })),
      })
    }
    // Opened anew nothing is in memory.
    await log.close()
    log = await openClientLog({ dir: directory.path, fsync: 'never', env })
    read.blocking = 0
    read.later = 0
  })
  afterEach(async () => {
    await log.close()
    directory.remove()
  })

  it('does not stand still for the file: all but the first piece of a segment is read without blocking', async () => {
    const one = log.consumer()
    await one.subscribe({ topics: ['t'], fromBeginning: true })
    const done = gate()
    let next = 0
    await one.run({
      eachBatch: ({ batch }) => {
        for (const message of batch.messages) expect(textOf(message).startsWith(`${next++} `)).toBe(true)
        if (next === RECORDS) done.open()
      },
    })
    await done.opened
    await one.disconnect()
    const segments = nodeEnv.fs.list(`${directory.path}/log/t-0`).filter((file) => file.endsWith('.log')).length
    expect(segments).toBeGreaterThan(1)
    expect(read.later).toBeGreaterThan(read.blocking)
    // One window for each segment, from pages that were brought in before.
    expect(read.blocking).toBeLessThanOrEqual(segments * 1024 * 1024)
  })

  it('who seeks or pauses while a piece of the file is on its way gets what was asked for last', async () => {
    const one = log.consumer()
    await one.subscribe({ topics: ['t'], fromBeginning: true })
    const values: number[] = []
    let hands = 0
    // In the middle of a read: by time, which reads the same file, blocking.
    beforeLater = () => one.seek({ topic: 't', partition: 0, timestamp: 1_000_000 + 30_000 })
    await one.run({
      eachMessage: ({ message }) => {
        values.push(Number.parseInt(textOf(message), 10))
        hands += 1
        if (hands === 5000) {
          beforeLater = () => {
            one.pause([{ topic: 't' }])
            one.seek({ topic: 't', partition: 0, offset: 7 })
          }
        }
      },
    })
    await until(() => one.paused().length === 1, 'the pause')
    const before = values.length
    expect(values).toEqual(Array.from({ length: before }, (_, i) => 30_000 + i))
    one.resume([{ topic: 't' }])
    await until(() => values.length >= before + 100, 'what comes behind it')
    expect(values.slice(before, before + 100)).toEqual(Array.from({ length: 100 }, (_, i) => 7 + i))
    await one.disconnect()
  })
})

describe('a consumer that comes to damage', () => {
  it('hands out what lies before it, says which offsets are gone, and goes on where it is sought to', async () => {
    const directory = temporaryDirectory()
    const log = await openClientLog({ dir: directory.path, fsync: 'never' })
    log.createTopic('t', 1)
    const producer = new Producer(log.host)
    const path = `${directory.path}/log/t-0/00000000000000000000.log`
    const ends: number[] = []
    for (let i = 0; i < 9; i += 3) {
      await producer.send({ topic: 't', messages: [0, 1, 2].map((j) => ({ value: `v${i + j}` })) })
      ends.push(statSync(path).size)
    }
    await log.close()
    const bytes = readFileSync(path)
    bytes[(ends[1] as number) - 2] = (bytes[(ends[1] as number) - 2] as number) ^ 4
    writeFileSync(path, bytes)
    const again = await openClientLog({ dir: directory.path, fsync: 'never' })
    const one = again.consumer({ groupId: 'g' })
    await one.subscribe({ topics: ['t'], fromBeginning: true })
    const values: string[] = []
    const crashed = new Promise<unknown>((resolve) => one.on('consumer.crash', ({ payload }) => resolve(payload.error)))
    await one.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
    expect(await crashed).toMatchObject({
      code: 'SEGMENT_CORRUPT',
      message: expect.stringContaining('3 to 5') as string,
    })
    expect(values).toEqual(['v0', 'v1', 'v2'])
    await one.stop()
    one.seek({ topic: 't', partition: 0, offset: '6' })
    await one.run({ eachMessage: ({ message }) => void values.push(textOf(message)) })
    await until(() => values.length === 6, 'what lies behind the damage is read')
    expect(values.slice(3)).toEqual(['v6', 'v7', 'v8'])
    await one.disconnect()
    await again.close()
    directory.remove()
  })
})
