// The two fastest laps of each driver so far, kept up to date while laps come in.
import { asc, Millrace, t } from 'millrace'

const mill = await Millrace.open()
const Lap = t.struct({ driver: t.string, lap: t.int, seconds: t.double })
await mill.topics.create('laps', { schema: Lap })

const fastest = mill.readStream.topic('laps', Lap).groupBy('driver').top(2, asc('seconds'))
const query = await fastest.writeStream
  .outputMode('update')
  .format('console')
  .trigger({ processingTime: '100 milliseconds' })
  .start()

const producer = mill.producer()
const drive = (driver, lap, seconds) => ({ key: driver, value: { driver, lap, seconds } })
await producer.send({ topic: 'laps', messages: [drive('Ada', 1, 92.1), drive('Ben', 1, 90.4), drive('Ada', 2, 89.7)] })
await query.processAllAvailable()
// Faster than both of Ada's: what was first is second now.
await producer.send({ topic: 'laps', messages: [drive('Ada', 3, 88.2), drive('Ben', 2, 95)] })
await query.processAllAvailable()
await query.stop()

// The same over what is stored: the best lap of each.
const stored = mill.read.topic('laps', Lap)
await stored.groupBy('driver').top(1, asc('seconds')).drop('rank').orderBy('seconds').show()
await mill.close()
