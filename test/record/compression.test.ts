import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { xxhash32 } from '../../src/common/xxhash32.js'
import { ByteSink } from '../../src/record/byte-sink.js'
import { Codec, canCompress, codecNames, defaultLevels } from '../../src/record/codec.js'
import { compress, decompress } from '../../src/record/compression.js'
import { zstdFault } from '../../src/record/zstd-frame.js'

const written = [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd].filter(canCompress)

function packed(codec: Codec, bytes: Uint8Array): Uint8Array {
  const sink = new ByteSink(1 << 28)
  compress(codec, bytes, 0, bytes.length, sink, defaultLevels)
  return sink.u8.slice(0, sink.length)
}

function unpacked(codec: number, bytes: Uint8Array, limit = 1 << 26): Uint8Array | string {
  const sink = new ByteSink(limit)
  const fault = decompress(codec, bytes, 0, bytes.length, sink)
  return fault ?? sink.u8.slice(0, sink.length)
}

/** Text with repetitions near and far, runs, and noise: what makes every kind of sequence. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 1, max: 3000 }))
        .map(([b, n]) => new Uint8Array(n).fill(b)),
      fc
        .tuple(fc.string({ minLength: 4, maxLength: 12 }), fc.integer({ min: 1, max: 400 }))
        .map(([s, n]) => Buffer.from(s.repeat(n))),
    ),
    { maxLength: 30 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)))

describe.each(written)('codec %i', (codec) => {
  test('gives back what it was given', () => {
    fc.assert(
      fc.property(content, (bytes) => {
        expect(Buffer.compare(unpacked(codec, packed(codec, bytes)) as Uint8Array, bytes)).toBe(0)
      }),
      { numRuns: 150 },
    )
  })

  test('makes a megabyte of records small, and gives it back', () => {
    const bytes = Buffer.from(
      Array.from({ length: 12_000 }, (_, i) => `user-${i % 977},page-${i % 31},${i * 7919};`)
        .join('')
        .padEnd(1 << 20, 'x'),
    )
    const small = packed(codec, bytes)
    expect(small.length).toBeLessThan(bytes.length / 2)
    expect(Buffer.compare(unpacked(codec, small) as Uint8Array, bytes)).toBe(0)
  })

  test('reads shared memory as it reads any other', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(5000))
    for (let i = 0; i < shared.length; i++) shared[i] = i % 97
    const small = packed(codec, shared)
    const sharedSmall = new Uint8Array(new SharedArrayBuffer(small.length))
    sharedSmall.set(small)
    expect(unpacked(codec, sharedSmall)).toEqual(new Uint8Array(shared))
  })

  test('is told its limit before it allocates: a bomb is refused by code', () => {
    const bomb = packed(codec, new Uint8Array(1 << 24))
    expect(bomb.length).toBeLessThan(1 << 20)
    const sink = new ByteSink(1 << 20)
    const before = process.memoryUsage().arrayBuffers
    expect(() => {
      const fault = decompress(codec, bomb, 0, bomb.length, sink)
      // A zstd frame says beforehand what it asks for.
      if (fault !== undefined) throw Object.assign(new Error(fault), { code: 'DECOMPRESSION_LIMIT' })
    }).toThrowError(expect.objectContaining({ code: 'DECOMPRESSION_LIMIT' }) as Error)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 23)
    expect(sink.u8.length).toBeLessThanOrEqual(1 << 20)
  })

  test('cut anywhere is refused', () => {
    const bytes = packed(codec, Buffer.from('to be or not to be, that is the question: '.repeat(9)))
    for (let length = 0; length < bytes.length; length++) {
      const found = unpacked(codec, bytes.slice(0, length))
      // A framing of blocks ends anywhere between two; what is there is right as far as it goes.
      if (typeof found !== 'string') expect(codec === Codec.snappy && (length === 16 || length === 0)).toBe(true)
    }
  })

  test('changed anywhere never does more than give other bytes or a reason', () => {
    const bytes = packed(codec, Buffer.from('to be or not to be, that is the question: '.repeat(9)))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const changed = bytes.slice()
          for (const [at, value] of changes) changed[at] = value
          try {
            const found = unpacked(codec, changed, 1 << 16)
            expect(typeof found === 'string' || found.length <= 1 << 16).toBe(true)
          } catch (error) {
            expect(error).toMatchObject({ code: 'DECOMPRESSION_LIMIT' })
          }
        },
      ),
      { numRuns: 1500 },
    )
  })
})

describe('formats that others write', () => {
  test('LZ4 with dependent blocks, content size and checksums', () => {
    const text = Buffer.from('abcd'.repeat(8))
    const raw = Buffer.concat([Buffer.from([0xf0, 32 - 15]), text])
    const frame = Buffer.alloc(4 + 2 + 8 + 1 + 4 + raw.length + 4 + 4 + 4)
    frame.writeUInt32LE(0x184d2204, 0)
    frame[4] = 0x40 | 0x10 | 0x08 | 0x04
    frame[5] = 0x40
    frame.writeBigUInt64LE(32n, 6)
    frame[14] = (xxhash32(frame, 4, 14) >>> 8) & 255
    frame.writeUInt32LE(raw.length, 15)
    raw.copy(frame, 19)
    let at = 19 + raw.length
    frame.writeUInt32LE(xxhash32(raw, 0, raw.length), at)
    at += 8
    frame.writeUInt32LE(xxhash32(text, 0, text.length), at)
    expect(unpacked(Codec.lz4, frame)).toEqual(new Uint8Array(text))
    for (const wrong of [4, 14, 19 + raw.length, at]) {
      const changed = Uint8Array.from(frame)
      changed[wrong] = (changed[wrong] as number) ^ 1
      expect(unpacked(Codec.lz4, changed)).toBeTypeOf('string')
    }
  })

  test('a raw Snappy block without framing', () => {
    const raw = Buffer.from([10, (5 - 1) << 2, ...Buffer.from('hello'), 1 | ((5 - 4) << 2), 5])
    expect(unpacked(Codec.snappy, raw)).toEqual(new Uint8Array(Buffer.from('hellohello')))
  })

  test('Snappy streams that were written one after the other', () => {
    const one = packed(Codec.snappy, Buffer.from('one'))
    const two = packed(Codec.snappy, Buffer.from('two'))
    expect(unpacked(Codec.snappy, Buffer.concat([one, two]))).toEqual(new Uint8Array(Buffer.from('onetwo')))
  })

  test('zstd from a Node that writes it, read with and without it', () => {
    // 40 times "millrace ", as one frame.
    const frame = Buffer.from('KLUv/WBoAIUAAEhtaWxscmFjZSABAFxUyxE=', 'base64')
    const found = unpacked(Codec.zstd, frame)
    expect(Buffer.from(found as Uint8Array).toString()).toBe('millrace '.repeat(40))
  })

  test('a zstd frame that asks for a gigabyte is refused by its header', () => {
    const frame = Buffer.from('28b52ffd00a0010000', 'hex')
    expect(zstdFault(frame, 0, frame.length, 1 << 26)).toMatch(/asks for 1073741824 bytes/)
  })

  test('a codec that does not exist is a reason, not a guess', () => {
    expect(unpacked(7, new Uint8Array(10))).toMatch(/none of that number/)
    expect(codecNames.length).toBe(5)
  })

  test('gzip with more than one member', () => {
    const members = Buffer.concat([zlib.gzipSync('one'), zlib.gzipSync('two')])
    expect(Buffer.from(unpacked(Codec.gzip, members) as Uint8Array).toString()).toBe('onetwo')
  })
})

test('xxHash32 of the reference', () => {
  const of = (text: string): number => xxhash32(Buffer.from(text), 0, text.length)
  expect(of('')).toBe(0x02cc5d05)
  expect(of('a')).toBe(0x550d7456)
  expect(of('abc')).toBe(0x32d153ff)
  expect(of('Nobody inspects the spammish repetition')).toBe(0xe2293b2f)
})
