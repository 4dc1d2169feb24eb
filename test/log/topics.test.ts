import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FileSystem, nodeEnv } from '../../src/common/env.js'
import { Topics } from '../../src/log/topics.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { openLog, RowsAppender, temporaryDirectory } from './log-fixture.js'

describe('topics', () => {
  const directory = temporaryDirectory()
  let topics: Topics
  beforeEach(() => {
    topics = new Topics(nodeEnv, undefined)
  })
  afterEach(() => directory.remove())

  it.each(['', '.', '..', 'a/b', 'a\\b', 'a b', 'ä', 'x'.repeat(250), 'CON', 'nul', 'com1.x', 'dot.', '../x', 7, null])(
    '%j is no name',
    (name) => {
      expect(() => topics.plan({ name: name as string })).toThrow(
        expect.objectContaining({ code: 'TOPIC_NAME_INVALID' }),
      )
    },
  )

  it.each(['a', 'user-clicks', 'A.b_c-9', 'x'.repeat(249), 'console', '.hidden'])('%s is a name', (name) => {
    expect(topics.plan({ name }).name).toBe(name)
  })

  it.each([0, -1, 1.5, 1e9, 10_001, Number.NaN, '4'])('%j partitions are refused', (partitions) => {
    expect(() => topics.plan({ name: 't', partitions: partitions as number })).toThrow(
      expect.objectContaining({ code: 'TOPIC_PARTITIONS_INVALID' }),
    )
  })

  it('a name that differs in case alone is refused', () => {
    topics.keep(topics.plan({ name: 'Clicks' }))
    expect(() => topics.plan({ name: 'clicks' })).toThrow(
      expect.objectContaining({ code: 'TOPIC_EXISTS', detail: expect.stringContaining('Clicks') }),
    )
  })

  it('a setting that Kafka does not have, or a value it does not take, is refused', () => {
    expect(() => topics.plan({ name: 't', config: { 'retention.m': 5 } })).toThrow(
      expect.objectContaining({ code: 'TOPIC_CONFIG_INVALID', hint: "did you mean 'retention.ms'?" }),
    )
    expect(() => topics.plan({ name: 't', config: { 'segment.bytes': 'many' } })).toThrow(
      expect.objectContaining({ code: 'TOPIC_CONFIG_INVALID' }),
    )
    expect(topics.plan({ name: 't', config: { 'segment.bytes': '65536' } }).config).toMatchObject({
      'segment.bytes': 65_536,
      'retention.ms': 604_800_000,
    })
  })

  it('one whose deletion could not be made durable takes nothing more, and is whole where it comes back', async () => {
    const dir = `${directory.path}/engine`
    let isFailing = false
    const fs: FileSystem = Object.assign(Object.create(nodeEnv.fs) as FileSystem, {
      syncDirectory(path: string) {
        if (isFailing && path.endsWith('/topics')) throw Object.assign(new Error('EIO'), { code: 'EIO' })
        nodeEnv.fs.syncDirectory(path)
      },
    })
    const first = await openLog({ dir, env: { ...nodeEnv, fs } })
    const appender = new RowsAppender(first.engine.createTopic({ name: 't' }), first.memory)
    appender.append(['kept'])
    await first.engine.syncUpTo([{ topic: 't', partition: 0, offset: 1 }])
    const description = readFileSync(`${dir}/topics/t.json`)
    isFailing = true
    await expect(first.engine.deleteTopic('t')).rejects.toThrow('EIO')
    expect(() => appender.append(['lost'])).toThrow(expect.objectContaining({ code: 'TOPIC_DELETED' }))
    expect(() => first.engine.describe('t')).toThrow(expect.objectContaining({ code: 'UNKNOWN_TOPIC' }))
    first.abandon()
    // What was not synced is undone by a loss of power.
    writeFileSync(`${dir}/topics/t.json`, description)
    const second = await openLog({ dir })
    const state = second.engine.state('t').partitions[0]
    expect(state).toMatchObject({ logStartOffset: 0, logEndOffset: 1 })
    await second.close()
  })

  it('are found again after a restart, with schema and settings; deleted ones are not', async () => {
    const dir = `${directory.path}/engine`
    const schema = structType([{ name: 'n', type: scalar('int'), nullable: true }])
    const first = await openLog({ dir })
    const made = first.engine.createTopic({
      name: 'kept',
      partitions: 3,
      schema,
      partitioner: 'murmur3',
      config: { 'segment.bytes': 4096 },
    })
    first.engine.createTopic({ name: 'gone' })
    await first.engine.deleteTopic('gone')
    await first.close()
    const second = await openLog({ dir })
    expect(second.engine.list().map((topic) => topic.name)).toEqual(['kept'])
    const found = second.engine.describe('kept')
    expect(found).toMatchObject({
      id: made.id,
      schema,
      partitioner: 'murmur3',
      config: made.config,
      createdAt: made.createdAt,
    })
    expect(found.partitions.length).toBe(3)
    expect(() => second.engine.describe('gone')).toThrow(expect.objectContaining({ code: 'UNKNOWN_TOPIC' }))
    await second.close()
  })

  it('a topic file that makes no sense is named', async () => {
    mkdirSync(`${directory.path}/bad/topics`, { recursive: true })
    writeFileSync(`${directory.path}/bad/topics/t.json`, '{"name":"t"')
    await expect(openLog({ dir: `${directory.path}/bad` })).rejects.toMatchObject({
      code: 'TOPIC_FILE_CORRUPT',
      summary: expect.stringContaining('t.json'),
    })
  })

  it('a thousand idle ones cost little memory', async () => {
    const log = await openLog()
    const before = process.memoryUsage().rss
    for (let i = 0; i < 1000; i++) log.engine.createTopic({ name: `idle-${i}` })
    expect(process.memoryUsage().rss - before).toBeLessThan(50 * 1024 * 1024)
    await log.close()
  })
})
