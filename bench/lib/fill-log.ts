import { LOG_TOPIC, logMessages, openLog, recordBytes } from './log-shapes.js'

/** A process that fills a log of four partitions and then closes it, or goes on writing until it is killed. */
const [dir = '', mebibytes = '1', end = 'close'] = process.argv.slice(2)
const messages = logMessages(10_000, 1024)
const bytes = messages.reduce((sum, message) => sum + recordBytes(message), 0)
const rounds = Math.ceil((Number(mebibytes) * 1024 * 1024) / bytes)

const mill = await openLog(4, { dir, fsync: 'interval' })
const producer = mill.producer()
for (let round = 0; round < rounds; round++) await producer.send({ topic: LOG_TOPIC, messages })
if (end === 'close') await mill.close()
process.send?.(rounds * messages.length)
if (end === 'close') process.disconnect()
else for (;;) await producer.send({ topic: LOG_TOPIC, messages })
