import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kafkaVersion } from '../outside/kafka/kafka-tools.js'
import { keepAsGolden, writeByKafka } from './kafka-segments.js'

/** node --import tsx test/golden/write-kafka.ts: writes test/golden/kafka-VERSION anew, by a broker of the version of test/outside/kafka/pom.xml. */
const scratch = mkdtempSync(join(tmpdir(), 'millrace-golden-'))
try {
  const target = fileURLToPath(new URL(`./kafka-${kafkaVersion}`, import.meta.url))
  rmSync(target, { recursive: true, force: true })
  keepAsGolden(await writeByKafka(scratch), target)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
