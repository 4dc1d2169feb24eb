// The reading end of a channel in a thread of its own, see channel.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { Doorbells } from '../../dist/common/doorbell.js'
import { ChannelReader, FrameType } from '../../dist/exchange/channel.js'

const bells = new Doorbells(workerData.bells)
const reader = new ChannelReader(workerData.channel, bells)
const slot = workerData.channel.readerSlot
const faults = []
let frames = 0
parentPort.postMessage('ready')
for (;;) {
  const seen = bells.sequence(slot)
  if (!reader.next()) {
    bells.park(slot, seen, 1000)
    continue
  }
  if (reader.type === FrameType.barrier) break
  const bytes = (frames * 7919) % (frames % 1000 === 0 ? 20_000 : 300)
  const u8 = reader.views.u8
  let whole = reader.epoch === frames && reader.bytes === bytes
  for (let i = 0; i < bytes && whole; i++) whole = u8[reader.position + i] === (frames & 255)
  if (!whole && faults.length < 5) faults.push(`frame ${frames}: epoch ${reader.epoch}, ${reader.bytes} bytes`)
  frames += 1
  reader.release()
}
parentPort.postMessage({ frames, faults })
