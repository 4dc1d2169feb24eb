// A worker of a share group: accepts every fifth job at random moments, rejects some, and says what a commit has made durable.
//   node share-child.mjs DIR SEED
import { Millrace } from '../../dist/index.js'

const [dir, seed] = process.argv.slice(2)
let state = Number(seed) >>> 0
const random = () => {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}
const say = (line) => process.stdout.write(`${line}\n`)

const mill = await Millrace.open({ dir, workers: 1 })
const worker = mill.shareConsumer({ groupId: 'workers', acknowledgementMode: 'explicit', maxRecords: 20 })
await worker.subscribe({ topics: ['jobs'] })
say('ready')
let open = []
let acknowledged = []
const commit = async () => {
  const then = acknowledged
  acknowledged = []
  await worker.commit()
  for (const line of then) say(line)
}
await worker.run({
  eachMessage: async ({ message }) => {
    say(`got ${message.value} ${message.deliveryCount}`)
    open.push(message)
    if (random() < 0.8) return
    for (const one of open) {
      const type = random() < 0.1 ? 'reject' : random() < 0.2 ? 'release' : 'accept'
      worker.acknowledge(one, type)
      if (type !== 'release') acknowledged.push(`done ${one.value}`)
    }
    open = []
    if (random() < 0.7) await commit()
  },
})
