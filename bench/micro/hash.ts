import murmurhash3js from 'murmurhash3js'
import { murmur2OfString, murmur3OfKey } from '../../dist/record/partitioner.js'
import { murmur2Ascii } from '../lib/bare-ingest.js'
import type { Kernel } from './run.js'

/** Hashes of a key, by the string: our murmur2 (any text), the bare one (ASCII alone), and murmur3 by the package, bare and guarded against its mistake with other text. */
export function hash(): Kernel[] {
  const keys = Array.from({ length: 1000 }, (_, i) => Buffer.from(`user-${i * 7919}`).toString('latin1'))
  const sink = new Int32Array(1)
  return [
    {
      name: 'murmur2, any string',
      items: keys.length,
      run: () => {
        for (let i = 0; i < keys.length; i++) sink[0] = murmur2OfString(keys[i] as string)
      },
    },
    {
      name: 'murmur3, any key',
      items: keys.length,
      run: () => {
        for (let i = 0; i < keys.length; i++) sink[0] = murmur3OfKey(keys[i] as string)
      },
    },
    {
      name: 'murmur2, ASCII alone',
      items: keys.length,
      run: () => {
        for (let i = 0; i < keys.length; i++) sink[0] = murmur2Ascii(keys[i] as string)
      },
    },
    {
      name: 'murmurhash3js x86.hash32',
      items: keys.length,
      run: () => {
        for (let i = 0; i < keys.length; i++) sink[0] = murmurhash3js.x86.hash32(keys[i] as string)
      },
    },
    {
      name: 'what the loop alone costs',
      items: keys.length,
      run: () => {
        for (let i = 0; i < keys.length; i++) sink[0] = (keys[i] as string).length
      },
    },
  ]
}
