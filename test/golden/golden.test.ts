import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'vitest'
import { checkKafkaPartition } from './kafka-partition.js'
import type { ExpectedRecord } from './kafka-segments.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const kafkas = readdirSync(here).filter((name) => name.startsWith('kafka-') && !name.endsWith('.ts'))

describe.each(kafkas)('segments of %s', (version) => {
  const expected = JSON.parse(readFileSync(`${here}/${version}/expected.json`, 'utf8')) as ExpectedRecord[]
  const codecs = readdirSync(`${here}/${version}`, { withFileTypes: true }).filter((entry) => entry.isDirectory())

  test.each(codecs.map((entry) => entry.name))('with codec %s are read, indexes and all', async (codec) => {
    await checkKafkaPartition(`${here}/${version}/${codec}`, expected)
  })
})
